#include "wire/spdy.h"

#include "base/mem.h"
#include "base/test.h"
#include "wire/spdy_words.h"

#include <zlib.h>

/* --- a client that packs ------------------------------------------------------------------------
 */

struct client {
	z_stream z;
	struct str out;
};

static void client_done(struct client *c)
{
	(void)deflateEnd(&c->z);
	str_done(&c->out);
}
#define CLIENT(c) CLEANUP(client_done) struct client c = { .out = { .max = 8 << 20 } }

static void u32(struct str *s, uint32_t v)
{
	const uint8_t b[] = { v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255 };

	str_addn(s, b, 4);
}

static void word(struct str *s, const char *w)
{
	u32(s, (uint32_t)strlen(w));
	str_add(s, w);
}

static void control(struct client *c, unsigned type, unsigned flags, const struct str *body)
{
	u32(&c->out, 0x80030000u | type);
	u32(&c->out, flags << 24 | (uint32_t)body->len);
	str_addn(&c->out, str_c(body), body->len);
}

static void pack(struct client *c, const struct str *block, struct str *ret)
{
	AUTO_FREE uint8_t *buf = xmalloc(1 << 20);

	if (!c->z.state) {
		CHECK(deflateInit(&c->z, 6) == Z_OK);
		CHECK(deflateSetDictionary(&c->z, (const Bytef *)spdy_words, SPDY_WORDS) == Z_OK);
	}
	c->z.next_in = (Bytef *)str_c(block);
	c->z.avail_in = (uInt)block->len;
	c->z.next_out = buf;
	c->z.avail_out = 1 << 20;
	CHECK(deflate(&c->z, Z_SYNC_FLUSH) == Z_OK && c->z.avail_out);
	str_addn(ret, buf, (1 << 20) - c->z.avail_out);
}

static void open_block(struct client *c, uint32_t id, bool fin, const struct str *block)
{
	AUTO_STR struct str body = STR_INIT(1 << 20);

	u32(&body, id);
	u32(&body, 0);
	str_addn(&body, "\0\0", 2);
	pack(c, block, &body);
	control(c, 1, fin, &body);
}

static void open_stream(struct client *c, uint32_t id, bool fin, const char *type)
{
	AUTO_STR struct str block = STR_INIT(1 << 16);

	u32(&block, 2);
	word(&block, "streamtype");
	word(&block, type);
	word(&block, "port");
	word(&block, "80");
	open_block(c, id, fin, &block);
}

static void data(struct client *c, uint32_t id, bool fin, const void *bytes, size_t n)
{
	u32(&c->out, id);
	u32(&c->out, (uint32_t)fin << 24 | (uint32_t)n);
	str_addn(&c->out, bytes, n);
}

static void two(struct client *c, unsigned type, uint32_t a, uint32_t b)
{
	AUTO_STR struct str body = STR_INIT(64);

	u32(&body, a);
	u32(&body, b);
	control(c, type, 0, &body);
}

/* --- what the server makes of it ----------------------------------------------------------------
 */

/* "o1 stdin;" "d1 text;" (a '.' where the stream ends) "r1;" "F why;" */
static void run(struct spdy *s, const struct client *c, size_t step, struct str *ret)
{
	const uint8_t *p = (const uint8_t *)str_c(&c->out);
	uint32_t last = 0;

	for (size_t at = 0; at < c->out.len;) {
		size_t n = c->out.len - at < step ? c->out.len - at : step;
		struct spdy_event ev;
		size_t used = spdy_push(s, p + at, n, &ev);

		CHECK(used > 0 && used <= n);
		at += used;
		switch (ev.kind) {
		case SPDY_MORE:
			break;
		case SPDY_OPENED:
			str_addf(ret, "o%u %s%s;", ev.stream, spdy_header(s, "streamtype"),
				 ev.is_last ? "." : "");
			CHECK_STR(spdy_header(s, "port"), "80");
			CHECK(!spdy_header(s, "requestid"));
			break;
		case SPDY_BYTES:
			if (last != ev.stream)
				str_addf(ret, "d%u ", ev.stream);
			str_addn(ret, ev.bytes, ev.n);
			str_add(ret, ev.is_last ? ".;" : "");
			break;
		case SPDY_RESET:
			str_addf(ret, "r%u;", ev.stream);
			break;
		case SPDY_FAILED:
			str_addf(ret, "F %s;", ev.reason);
			break;
		}
		last = ev.kind == SPDY_BYTES ? ev.stream : ev.kind == SPDY_MORE ? last : 0;
	}
}

static void spdy_freep(struct spdy **s)
{
	spdy_free(*s);
}
#define SERVER(s) CLEANUP(spdy_freep) struct spdy *s = spdy_new()

static void check(const struct client *c, const char *want)
{
	for (size_t step = 1; step < 2000; step = step * 3 + 1) {
		AUTO_STR struct str got = STR_INIT(1 << 20);
		SERVER(s);

		run(s, c, step, &got);
		CHECK_STR(str_c(&got), want);
	}
}

TEST(streams_and_their_data)
{
	CLIENT(c);

	open_stream(&c, 1, false, "error");
	open_stream(&c, 3, false, "stdin");
	open_stream(&c, 5, true, "stdout");
	data(&c, 3, false, "hello ", 6);
	data(&c, 3, false, "", 0);
	data(&c, 3, true, "world", 5);
	data(&c, 1, true, "", 0);
	two(&c, 3, 1, 5);
	two(&c, 3, 99, 5); /* of none */
	two(&c, 7, 0, 0);
	check(&c, "o1 error;o3 stdin;o5 stdout.;d3 hello world.;d1 .;r1;");
}

TEST(frames_that_cannot_be)
{
	AUTO_STR struct str body = STR_INIT(1 << 16);

	{
		CLIENT(c);
		open_stream(&c, 2, false, "stdin");
		check(&c, "F a stream's number is not the next one;");
	}
	{
		CLIENT(c);
		open_stream(&c, 3, false, "stdin");
		open_stream(&c, 3, false, "stdin");
		check(&c, "o3 stdin;F a stream's number is not the next one;");
	}
	{
		CLIENT(c);
		data(&c, 1, false, "x", 1);
		check(&c, "F data of a stream that was never opened;");
	}
	{
		CLIENT(c);
		u32(&c.out, 0x80020001u); /* version 2 */
		u32(&c.out, 10);
		check(&c, "F a frame of another version than 3;");
	}
	{
		CLIENT(c);
		u32(&c.out, 0x80030001u);
		u32(&c.out, 0xffffff);
		check(&c, "F a control frame is too long;");
	}
	{
		CLIENT(c);
		str_addn(&body, "1234", 4);
		control(&c, 1, 0, &body);
		check(&c, "F SYN_STREAM is too short;");
	}
	{
		CLIENT(c);
		two(&c, 2, 1, 0);
		check(&c, "F SYN_REPLY to nothing;");
	}
	{
		CLIENT(c);
		two(&c, 4, 5, 0); /* five settings, and no room for them */
		check(&c, "F SETTINGS is not as long as it says;");
	}
	{
		CLIENT(c);
		two(&c, 6, 1, 1);
		check(&c, "F PING is not 4 bytes long;");
	}
}

TEST(headers_that_cannot_be)
{
	static const struct {
		const char *block;
		size_t n;
		const char *want;
	} rows[] = {
#define BLOCK(text, want) { text, sizeof(text) - 1, want }
		BLOCK("", "F headers without a count;"),
		BLOCK("\0\0\0\1\0\0", "F a header is longer than its block;"),
		BLOCK("\0\0\0\1\0\0\0\5port", "F a header is longer than its block;"),
		BLOCK("\0\0\0\1\377\377\377\377port", "F a header is longer than its block;"),
		BLOCK("\0\0\0\1\0\0\0\4port\0\0\0\3"
		      "80",
		      "F a header is longer than its block;"),
		BLOCK("\0\0\0\1\0\0\0\4port\0\0\0\2"
		      "80x",
		      "F bytes behind the headers;"),
		BLOCK("\377\0\0\1", "F too many headers;"),
		/* whole, but a name that no header may have: only that stream goes */
		BLOCK("\0\0\0\1\0\0\0\4Port\0\0\0\2"
		      "80",
		      ""),
		BLOCK("\0\0\0\1\0\0\0\0\0\0\0\2"
		      "80",
		      ""),
		BLOCK("\0\0\0\1\0\0\0\4po\0t\0\0\0\2"
		      "80",
		      ""),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STR struct str block = STR_INIT(1 << 10);
		CLIENT(c);

		str_addn(&block, rows[i].block, rows[i].n);
		open_block(&c, 1, false, &block);
		check(&c, rows[i].want);
	}
}

TEST(a_bomb_of_headers)
{
	AUTO_STR struct str block = STR_INIT(8 << 20);
	CLIENT(c);

	u32(&block, 1);
	while (block.len < 4 << 20)
		str_addn(&block, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	open_block(&c, 1, false, &block);
	CHECK(c.out.len < SPDY_CONTROL);
	check(&c, "F headers are too long;");
}

TEST(bytes_that_were_never_packed)
{
	AUTO_STR struct str body = STR_INIT(1 << 10);
	CLIENT(c);

	str_addn(&body, "\0\0\0\1\0\0\0\0\0\0not zlib at all", 25);
	control(&c, 1, 0, &body);
	check(&c, "F headers cannot be unpacked;");
}

TEST(windows_bind_a_peer_that_knows_them)
{
	static char big[1 << 17];
	AUTO_STR struct str got = STR_INIT(1 << 10);
	CLIENT(c);
	SERVER(s);

	open_stream(&c, 1, false, "stdout");
	run(s, &c, 1000, &got);
	/* nobody has said that it keeps windows: all of it goes */
	CHECK(spdy_room(s, 1) > sizeof big && spdy_room(s, 3) == 0);
	spdy_send(s, 1, big, sizeof big, false);
	CHECK(spdy_out(s)->len == sizeof big + sizeof big / SPDY_DATA_MAX * 8);
	str_reset(spdy_out(s));

	str_reset(&c.out);
	two(&c, 9, 1, sizeof big);
	run(s, &c, 1000, &got);
	CHECK(spdy_room(s, 1) == 0); /* the session's is less than nothing */
	str_reset(&c.out);
	two(&c, 9, 0, sizeof big);
	run(s, &c, 1000, &got);
	CHECK(spdy_room(s, 1) == SPDY_WINDOW);
	spdy_send(s, 1, big, 100, true);
	CHECK(spdy_room(s, 1) == 0);
	CHECK(spdy_out(s)->len == 108 && spdy_out(s)->ptr[4] == 1);
}

TEST(windows_that_overflow)
{
	AUTO_STR struct str settings = STR_INIT(64);

	{
		CLIENT(c);
		open_stream(&c, 1, false, "stdout");
		two(&c, 9, 1, 0x7fffffff);
		data(&c, 1, false, "x", 1);
		check(&c, "o1 stdout;r1;");
	}
	{
		CLIENT(c);
		two(&c, 9, 0, 0x7fffffff);
		check(&c, "F a window of more than 2 GiB, or a change by nothing;");
	}
	{
		CLIENT(c);
		two(&c, 9, 0, 0);
		check(&c, "F a window of more than 2 GiB, or a change by nothing;");
	}
	{
		CLIENT(c);
		u32(&settings, 1);
		u32(&settings, 7);
		u32(&settings, 0x80000000u);
		control(&c, 4, 0, &settings);
		check(&c, "F a window of more than 2 GiB;");
	}
}

TEST(what_was_passed_on_is_told)
{
	AUTO_STR struct str got = STR_INIT(1 << 10);
	CLIENT(c);
	SERVER(s);

	open_stream(&c, 1, false, "stdin");
	run(s, &c, 1000, &got);
	spdy_passed(s, 1, SPDY_WINDOW / 2 - 1);
	CHECK(spdy_out(s)->len == 0);
	spdy_passed(s, 1, 1);
	CHECK(spdy_out(s)->len == 32 && !memcmp(spdy_out(s)->ptr,
						"\x80\3\0\x9\0\0\0\x8\0\0\0\0\0\0\x80\0\x80\3\0\x9"
						"\0\0\0\x8\0\0\0\1\0\0\x80\0",
						32));
}

TEST(a_flood_ends)
{
	AUTO_STR struct str ping = STR_INIT(16), got = STR_INIT(1 << 20);
	CLIENT(c);
	SERVER(s);

	u32(&ping, 1);
	for (int i = 0; i < 60000; i++)
		control(&c, 6, 0, &ping);
	run(s, &c, 4096, &got);
	CHECK_STR(str_c(&got), "F the peer takes no answers;");
	CHECK(!spdy_out(s)->over);
}

TEST(more_streams_than_there_may_be)
{
	AUTO_STR struct str got = STR_INIT(1 << 20);
	CLIENT(c);
	SERVER(s);

	for (uint32_t i = 0; i <= SPDY_STREAMS; i++)
		open_stream(&c, 2 * i + 1, false, "data");
	run(s, &c, 4096, &got);
	CHECK(strstr(str_c(&got), "o511 data;") && !strstr(str_c(&got), "o513"));
	CHECK(spdy_out(s)->len == 16); /* RST_STREAM 513, REFUSED_STREAM */
	CHECK(!memcmp(spdy_out(s)->ptr, "\x80\3\0\3\0\0\0\x8\0\0\2\1\0\0\0\3", 16));

	/* one that has ended makes room */
	str_reset(&c.out);
	str_reset(&got);
	two(&c, 3, 1, 5);
	open_stream(&c, 515, false, "data");
	run(s, &c, 4096, &got);
	CHECK_STR(str_c(&got), "r1;o515 data;");
}

TEST(a_reply_unpacks_to_nothing)
{
	AUTO_STR struct str got = STR_INIT(1 << 10);
	CLIENT(c);
	SERVER(s);
	uint8_t out[64];
	z_stream z = { 0 };

	open_stream(&c, 1, false, "stdin");
	open_stream(&c, 3, false, "stdout");
	run(s, &c, 1000, &got);
	CHECK(inflateInit(&z) == Z_OK);
	for (uint32_t id = 1; id <= 3; id += 2) {
		struct str *o = spdy_out(s);

		str_reset(o);
		spdy_accept(s, id);
		CHECK(o->len > 12 && !memcmp(o->ptr, "\x80\3\0\2", 4));
		CHECK((uint8_t)o->ptr[7] == o->len - 8 && (uint8_t)o->ptr[11] == id);
		z.next_in = (Bytef *)o->ptr + 12;
		z.avail_in = (uInt)o->len - 12;
		z.next_out = out;
		z.avail_out = sizeof out;
		if (id == 1) {
			CHECK(inflate(&z, Z_SYNC_FLUSH) == Z_NEED_DICT);
			CHECK(z.adler == 0xe3c6a7c2); /* the specification's */
			CHECK(inflateSetDictionary(&z, (const Bytef *)spdy_words, SPDY_WORDS) ==
			      Z_OK);
		}
		CHECK(inflate(&z, Z_SYNC_FLUSH) == Z_OK);
		CHECK(sizeof out - z.avail_out == 4 && !memcmp(out, "\0\0\0\0", 4));
	}
	(void)inflateEnd(&z);
	spdy_accept(s, 99); /* none: nothing happens */
}
