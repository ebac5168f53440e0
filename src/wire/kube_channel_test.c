#include "wire/kube_channel.h"

#include "base/test.h"

TEST(the_first_known_protocol_of_the_client)
{
	CHECK_STR(kube_channel_choose("v4.channel.k8s.io")->name, "v4.channel.k8s.io");
	CHECK_STR(kube_channel_choose("v9.x, v5.channel.k8s.io,v4.channel.k8s.io")->name,
		  "v5.channel.k8s.io");
	CHECK_STR(kube_channel_choose(NULL)->name, "");
	CHECK(!kube_channel_choose("chat") && !kube_channel_choose(""));
	CHECK(kube_channel_choose("v5.channel.k8s.io")->has_close);
	CHECK(!kube_channel_choose("v4.channel.k8s.io")->has_close);
	CHECK(!kube_channel_choose("base64.channel.k8s.io")->has_status);
}

/* "3:text " for each event, "x3 " for a close; the reason where it fails. */
static const char *read_all(const char *protocol, const char *message, size_t n, size_t step)
{
	static char got[4096];
	struct kube_channel_in c = { .protocol = kube_channel_choose(protocol) };
	size_t len = 0, at = 0;
	int last = -1;

	got[0] = 0;
	do {
		size_t take = n - at < step ? n - at : step;
		struct ws_event piece = { .kind = WS_PIECE,
					  .is_first = !at,
					  .is_last = at + take == n,
					  .bytes = (const uint8_t *)message + at,
					  .n = take };
		struct kube_channel_event ev;
		const char *bad = kube_channel_read(&c, &piece, &ev);

		if (bad)
			return bad;
		if (ev.number >= 0 && ev.is_close)
			len += (size_t)snprintf(got + len, sizeof got - len, "x%d", ev.number);
		else if (ev.number >= 0)
			len += (size_t)snprintf(got + len, sizeof got - len, "%s%.*s",
						last < 0 ? (ev.number ? "1:" : "0:") : "",
						(int)ev.n, ev.bytes);
		if (ev.number >= 0)
			last = ev.number;
		at += take;
	} while (at < n);
	return got;
}

TEST(messages_in_pieces)
{
	for (size_t step = 1; step < 20; step++) {
		CHECK_STR(read_all("v4.channel.k8s.io", "\0hello", 6, step), "0:hello");
		CHECK_STR(read_all("v4.channel.k8s.io", "\1", 1, step), "1:");
		CHECK_STR(read_all("v4.channel.k8s.io", "", 0, step), "");
		CHECK_STR(read_all("v4.base64.channel.k8s.io", "0aGVsbG8gYQ==", 13, step),
			  "0:hello a");
		CHECK_STR(read_all("base64.channel.k8s.io", "0aGVsbG8gYWI=", 13, step),
			  "0:hello ab");
		CHECK_STR(read_all("base64.channel.k8s.io", "1aGVs", 5, step), "1:hel");
		CHECK_STR(read_all("v5.channel.k8s.io", "\377\0", 2, step), "x0");
	}
}

TEST(what_is_no_message)
{
	static const char *const rows[] = { "xaGVs", "0aGV",      "0aG=s",
					    "0=aGV", "0aGVs!GVs", "0aG==aGVs" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got =
			read_all("v4.base64.channel.k8s.io", rows[i], strlen(rows[i]), 16);

		if (!strstr(got, "base64") && !strstr(got, "digit"))
			FAIL_("row %zu: %s", i, got);
	}
	CHECK(strstr(read_all("v5.channel.k8s.io", "\377\0\1", 3, 16), "more than one"));
	/* v4 knows no channel 255: the number is the server's to refuse */
	CHECK_STR(read_all("v4.channel.k8s.io", "\377\0", 2, 16), "1:");
}

TEST(what_is_sent)
{
	CLEANUP(ws_done) struct ws w = WS_INIT;

	kube_channel_send(&w, kube_channel_choose("v4.channel.k8s.io"), 2, "ab", 2);
	kube_channel_send(&w, kube_channel_choose("v4.base64.channel.k8s.io"), 2, "ab", 2);
	CHECK(w.out.len == 12 && !memcmp(w.out.ptr,
					 "\x82\x03\x02"
					 "ab\x81\x05"
					 "2YWI=",
					 12));
}
