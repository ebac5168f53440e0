#include "wire/http1.h"

#include "base/str.h"
#include "base/test.h"

#define UPGRADE                                                                        \
	"POST /exec/abc HTTP/1.1\r\nHost: node\r\nConnection: keep-alive, Upgrade\r\n" \
	"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"        \
	"X-Stream-Protocol-Version:  v3.channel.k8s.io \t\r\nContent-Length: 0\r\n\r\nrest"

static int parse(const char *text, size_t n, struct http1_request *ret)
{
	static char copy[HTTP1_HEAD + 64];

	memcpy(copy, text, n);
	return http1_parse(copy, n, ret);
}

TEST(a_head_is_whole_at_its_blank_line)
{
	struct http1_request r;
	size_t whole = strlen(UPGRADE) - strlen("rest");

	for (size_t n = 0; n < whole; n++)
		CHECK(parse(UPGRADE, n, &r) == 0);
	CHECK(parse(UPGRADE, strlen(UPGRADE), &r) == (int)whole);
	CHECK_STR(r.method, "POST");
	CHECK_STR(r.target, "/exec/abc");
	CHECK_STR(http1_field(&r, "x-stream-protocol-version", 0), "v4.channel.k8s.io");
	CHECK_STR(http1_field(&r, "X-Stream-Protocol-Version", 1), "v3.channel.k8s.io");
	CHECK(!http1_field(&r, "x-stream-protocol-version", 2));
	CHECK(http1_has_word(&r, "connection", "upgrade"));
	CHECK(!http1_has_word(&r, "connection", "upgrad"));
	CHECK(!http1_has_word(&r, "nothing", "upgrade"));
}

TEST(what_two_readers_could_take_differently_is_refused)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "GET /\r\n\r\n", -400 },
		{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", -400 },
		{ "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", -400 },
		{ "GET / HTTP/1.0\r\nHost: a\r\n\r\n", -505 },
		{ "GET / HTTP/1.1\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost : a\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", -400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		  -400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", -400 },
		{ "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", -400 },
		{ "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", -400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http1_request r;
		int got = parse(rows[i].text, strlen(rows[i].text), &r);

		if (got != rows[i].want)
			FAIL_("row %zu: %d", i, got);
	}

	struct http1_request r;
	static const char nul[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
	CHECK(parse(nul, sizeof nul - 1, &r) == -400);
}

TEST(a_head_has_a_length_and_a_number_of_fields)
{
	struct http1_request r;
	AUTO_STR struct str s = STR_INIT(2 * HTTP1_HEAD);

	str_add(&s, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 1; i < HTTP1_FIELDS; i++)
		str_addf(&s, "X-%d: y\r\n", i);
	size_t n = s.len;
	str_add(&s, "\r\n");
	CHECK(parse(s.ptr, s.len, &r) == (int)s.len);
	s.len = n;
	str_add(&s, "One: more\r\n\r\n");
	CHECK(parse(s.ptr, s.len, &r) == -431);
	str_reset(&s);
	str_add(&s, "GET / HTTP/1.1\r\nX: ");
	while (s.len < HTTP1_HEAD)
		str_addc(&s, 'x');
	CHECK(parse(s.ptr, s.len - 1, &r) == 0);
	CHECK(parse(s.ptr, s.len, &r) == -431);
}
