#include "wire/ttrpc.h"

#include "base/mem.h"
#include "base/test.h"

static void feed(struct ttrpc_reader *r, const struct str *in, size_t step, struct str *log)
{
	const uint8_t *p = (const uint8_t *)in->ptr;

	for (size_t at = 0; at < in->len;) {
		size_t n = in->len - at < step ? in->len - at : step;

		while (n) {
			struct ttrpc_frame f;
			bool has;
			size_t used = ttrpc_reader_push(r, p + at, n, &f, &has);

			CHECK(used > 0);
			at += used;
			n -= used;
			if (has)
				str_addf(log, "[%u t%u f%u %zu%s %.*s]", f.stream, f.type, f.flags,
					 f.len, f.is_too_long ? " too long" : "",
					 f.is_too_long || !f.body ? 0 : (int)f.len,
					 f.body ? (const char *)f.body : "");
		}
	}
}

TEST(frames_in_any_pieces)
{
	AUTO_STR struct str in = STR_INIT(1 << 20);

	ttrpc_frame_add(&in, 1, TTRPC_REQUEST, 0, "hello", 5);
	ttrpc_frame_add(&in, 3, TTRPC_RESPONSE, 0, NULL, 0);
	ttrpc_frame_add(&in, 0xfffffffd, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "x", 1);
	for (size_t step = 1; step <= in.len; step++) {
		struct ttrpc_reader r = TTRPC_READER_INIT;
		AUTO_STR struct str log = STR_INIT(4096);

		feed(&r, &in, step, &log);
		CHECK_STR(str_c(&log), "[1 t1 f0 5 hello][3 t2 f0 0 ][4294967293 t3 f5 1 x]");
		ttrpc_reader_done(&r);
	}
}

TEST(header_bytes)
{
	AUTO_STR struct str out = STR_INIT(64);

	ttrpc_frame_add(&out, 0x01020304, TTRPC_RESPONSE, TTRPC_NO_DATA, "ab", 2);
	CHECK(out.len == 12);
	CHECK(!memcmp(out.ptr, "\0\0\0\2\1\2\3\4\2\4ab", 12));
}

TEST(too_long_body_is_skipped)
{
	struct ttrpc_reader r = TTRPC_READER_INIT;
	AUTO_STR struct str in = STR_INIT(8 << 20), log = STR_INIT(4096);
	AUTO_FREE char *junk = xcalloc(1, TTRPC_MAX_BODY + 1);

	str_addn(&in, "\0\x40\0\1\0\0\0\5\1\0", 10); /* 4 MiB and one byte */
	str_addn(&in, junk, TTRPC_MAX_BODY + 1);
	ttrpc_frame_add(&in, 7, TTRPC_REQUEST, 0, "on", 2);
	feed(&r, &in, 65536, &log);
	CHECK_STR(str_c(&log), "[5 t1 f0 4194305 too long ][7 t1 f0 2 on]");
	CHECK(r.cap <= 4096);
	ttrpc_reader_done(&r);
}

TEST(claimed_length_allocates_nothing)
{
	struct ttrpc_reader r = TTRPC_READER_INIT;
	struct ttrpc_frame f;
	bool has;

	CHECK(ttrpc_reader_push(&r, (const uint8_t *)"\0\x40\0\0\0\0\0\1\1\0zz", 12, &f, &has) ==
	      12);
	CHECK(!has && r.cap <= 4096);
	ttrpc_reader_done(&r);
}

TEST(largest_body)
{
	struct ttrpc_reader r = TTRPC_READER_INIT;
	AUTO_STR struct str in = STR_INIT(8 << 20);
	AUTO_FREE char *body = xcalloc(1, TTRPC_MAX_BODY);
	struct ttrpc_frame f;
	bool has;

	ttrpc_frame_add(&in, 9, TTRPC_REQUEST, 0, body, TTRPC_MAX_BODY);
	CHECK(ttrpc_reader_push(&r, (const uint8_t *)in.ptr, in.len, &f, &has) == in.len);
	CHECK(has && f.len == TTRPC_MAX_BODY && !f.is_too_long);
	/* The memory of a large frame is given back with the next one. */
	ttrpc_reader_push(&r, (const uint8_t *)"\0", 1, &f, &has);
	CHECK(r.cap == 0);
	ttrpc_reader_done(&r);
}
