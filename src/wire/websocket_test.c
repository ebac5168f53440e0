#include "wire/websocket.h"

#include "base/mem.h"
#include "base/test.h"

/* A client's frame. */
static void frame(struct str *out, unsigned first, const void *bytes, size_t n)
{
	static const uint8_t mask[4] = { 1, 2, 3, 0xff };
	const uint8_t *p = bytes;

	str_addc(out, (char)first);
	str_addc(out, (char)(0x80 | (n < 126 ? n : 126)));
	if (n >= 126) {
		str_addc(out, (char)(n >> 8));
		str_addc(out, (char)n);
	}
	str_addn(out, mask, 4);
	for (size_t i = 0; i < n; i++)
		str_addc(out, (char)(p[i] ^ mask[i % 4]));
}

/* What comes of the bytes, cut every step: text of messages, "|" behind each, then a letter. */
static void run(const struct str *in, size_t step, struct ws *w, struct str *ret)
{
	AUTO_FREE uint8_t *copy = xmemdup(str_c(in), in->len);

	for (size_t at = 0; at < in->len;) {
		size_t n = in->len - at < step ? in->len - at : step;
		struct ws_event ev;
		size_t used = ws_push(w, copy + at, n, &ev);

		CHECK(used > 0 && used <= n);
		at += used;
		if (ev.kind == WS_PIECE) {
			str_addn(ret, ev.bytes, ev.n);
			if (ev.is_last)
				str_addc(ret, '|');
		}
		if (ev.kind == WS_CLOSED || ev.kind == WS_FAILED)
			str_addc(ret, ev.kind == WS_CLOSED ? 'C' : 'F');
	}
}

static void check(const struct str *in, const char *want, const void *out, size_t n_out)
{
	for (size_t step = 1; step < 9; step++) {
		AUTO_STR struct str got = STR_INIT(1 << 16);
		CLEANUP(ws_done) struct ws w = WS_INIT;

		run(in, step, &w, &got);
		CHECK_STR(str_c(&got), want);
		CHECK(w.out.len == n_out && (!n_out || !memcmp(w.out.ptr, out, n_out)));
	}
}

TEST(messages_come_whole_in_whatever_pieces)
{
	AUTO_STR struct str in = STR_INIT(1 << 16);
	char big[300];

	memset(big, 'x', sizeof big);
	frame(&in, 0x82, "hello", 5);
	frame(&in, 0x01, "frag", 4); /* text, not final */
	frame(&in, 0x89, "ping", 4); /* between the pieces of a message */
	frame(&in, 0x00, "", 0);
	frame(&in, 0x80, "ment", 4);
	frame(&in, 0x82, "", 0);
	frame(&in, 0x8a, "pong", 4);
	frame(&in, 0x82, big, sizeof big);
	frame(&in, 0x88,
	      "\x03\xe8"
	      "bye",
	      5);
	frame(&in, 0x82, "too late", 8);

	AUTO_STR struct str want = STR_INIT(1 << 16);

	str_add(&want, "hello|fragment||");
	str_addn(&want, big, sizeof big);
	str_add(&want, "|C");
	check(&in, str_c(&want), "\x8a\x04ping\x88\x02\x03\xe8", 10);
}

TEST(a_peer_that_breaks_the_rules_is_told)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
#define ROW(text) { text, sizeof(text) - 1 }
		ROW("\x82\x05hello"), /* no mask */
		ROW("\xc2\x80\0\0\0\0"), /* a reserved bit */
		ROW("\x83\x80\0\0\0\0"), /* reserved opcodes */
		ROW("\x8b\x80\0\0\0\0"),
		ROW("\x80\x80\0\0\0\0"), /* more of nothing */
		ROW("\x02\x80\0\0\0\0\x82\x80\0\0\0\0"), /* a message in a message */
		ROW("\x09\x80\0\0\0\0"), /* a ping in pieces */
		ROW("\x89\xfe\x00\x80\0\0\0\0"), /* a long one */
		ROW("\x82\xfe\x00\x05\0\0\0\0"), /* lengths that are not the shortest */
		ROW("\x82\xff\0\0\0\0\0\0\x00\x05\0\0\0\0"),
		ROW("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"),
		ROW("\x88\x81\0\0\0\0\x03"), /* half of a code */
		ROW("\x88\x82\0\0\0\0\x03\xee"), /* 1006 is nobody's to send */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STR struct str in = STR_INIT(1 << 10);
		AUTO_STR struct str got = STR_INIT(1 << 10);
		CLEANUP(ws_done) struct ws w = WS_INIT;

		str_addn(&in, rows[i].bytes, rows[i].n);
		run(&in, 1, &w, &got);
		if (!str_ends(str_c(&got), "F"))
			FAIL_("row %zu: %s", i, str_c(&got));
		CHECK(w.out.len == 4 && !memcmp(w.out.ptr, "\x88\x02\x03\xea", 4));
	}
}

TEST(a_long_message_costs_no_memory)
{
	static const uint8_t head[] = { 0x82, 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0 };
	CLEANUP(ws_done) struct ws w = WS_INIT;
	uint8_t bytes[4096] = { 0 };
	struct ws_event ev;

	memcpy(bytes, head, sizeof head);
	CHECK(ws_push(&w, bytes, sizeof bytes, &ev) == sizeof bytes);
	CHECK(ev.kind == WS_PIECE && ev.is_first && !ev.is_last && ev.n == sizeof bytes - 14);
	for (int i = 0; i < 100; i++) {
		CHECK(ws_push(&w, bytes, sizeof bytes, &ev) == sizeof bytes);
		CHECK(ev.kind == WS_PIECE && !ev.is_first && !ev.is_last);
	}
	CHECK(!w.out.cap);
}

TEST(a_flood_of_pings_ends)
{
	AUTO_STR struct str in = STR_INIT(4 << 20);
	AUTO_STR struct str got = STR_INIT(1 << 10);
	CLEANUP(ws_done) struct ws w = WS_INIT;
	char payload[125] = { 0 };

	for (int i = 0; i < 10000; i++)
		frame(&in, 0x89, payload, sizeof payload);
	run(&in, 4096, &w, &got);
	CHECK_STR(str_c(&got), "F");
	CHECK(w.out.len < WS_OUT && !w.out.over);
}

TEST(lengths_of_what_is_sent)
{
	static const struct {
		size_t n;
		const char *head;
		size_t n_head;
	} rows[] = { { 0, "\x82\x01", 2 },
		     { 124, "\x82\x7d", 2 },
		     { 125, "\x82\x7e\x00\x7e", 4 },
		     { 65534, "\x82\x7e\xff\xff", 4 },
		     { 65535, "\x82\x7f\0\0\0\0\0\x01\0\0", 10 } };
	static char bytes[65536];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(ws_done) struct ws w = WS_INIT;

		ws_send(&w, false, "\1", 1, bytes, rows[i].n);
		CHECK(w.out.len == rows[i].n_head + 1 + rows[i].n);
		CHECK(!memcmp(w.out.ptr, rows[i].head, rows[i].n_head));
		ws_close(&w, WS_NORMAL);
		size_t len = w.out.len;
		ws_send(&w, false, "\1", 1, bytes, rows[i].n);
		ws_close(&w, WS_NORMAL);
		CHECK(w.out.len == len); /* nothing behind the goodbye */
	}
}

TEST(the_key_of_the_specification)
{
	char got[WS_ACCEPT + 1];

	ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", got);
	CHECK_STR(got, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
