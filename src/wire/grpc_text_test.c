#include "wire/grpc_header.h"
#include "wire/grpc_message.h"

#include "base/test.h"

#include "containerd/services/namespaces/v1/namespace.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"

TEST(timeouts)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} rows[] = {
		{ "1n", 0, 1 },
		{ "2u", 0, 2000 },
		{ "250m", 0, 250000000 },
		{ "10S", 0, 10000000000 },
		{ "3M", 0, 180000000000 },
		{ "1H", 0, 3600000000000 },
		{ "99999999H", 0, UINT64_MAX },
		{ "0m", 0, 0 },
		{ "123456789m", -1, 0 },
		{ "12", -1, 0 },
		{ "m", -1, 0 },
		{ "", -1, 0 },
		{ "-1m", -1, 0 },
		{ "1 m", -1, 0 },
		{ "1d", -1, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ns = 0;
		int r = grpc_timeout_parse(rows[i].text, &ns);

		CHECK((r < 0) == (rows[i].r < 0));
		CHECK(r < 0 || ns == rows[i].ns);
	}

	char text[GRPC_TIMEOUT_TEXT];
	grpc_timeout_print(1500, text);
	CHECK_STR(text, "1500n");
	grpc_timeout_print(10000000000, text);
	CHECK_STR(text, "10000000u");
	grpc_timeout_print(3600000000001, text);
	CHECK_STR(text, "3600001m");
}

TEST(percent)
{
	AUTO_STR struct str coded = STR_INIT(1000), plain = STR_INIT(1000);

	grpc_percent_encode(&coded, "a \"b\": 100% \xc3\xa4\n");
	CHECK_STR(str_c(&coded), "a \"b\": 100%25 %C3%A4%0A");
	grpc_percent_decode(&plain, coded.ptr, coded.len);
	CHECK_STR(str_c(&plain), "a \"b\": 100% \xc3\xa4\n");
	str_reset(&coded);
	grpc_percent_encode(&coded, " stderr: ");
	CHECK_STR(str_c(&coded), "%20stderr:%20");
	str_reset(&plain);
	grpc_percent_decode(&plain, "%zz%4", 5);
	CHECK_STR(str_c(&plain), "%zz%4");
	str_done(&plain);
}

/* The same two messages must come out of every cut. */
TEST(reader_cuts)
{
	static const uint8_t wire[] = { 0, 0, 0, 0, 3, 'a', 'b', 'c', 0,  0,
					0, 0, 0, 0, 0, 0,   0,   1,   'z' };

	for (size_t cut = 1; cut <= sizeof wire; cut++) {
		struct grpc_reader r;
		struct err e = { 0 };
		AUTO_STR struct str got = STR_INIT(100);

		grpc_reader_init(&r, 100);
		for (size_t at = 0; at < sizeof wire;) {
			struct grpc_msg *m = NULL;
			size_t n = sizeof wire - at < cut ? sizeof wire - at : cut, used = 0;
			int k = grpc_reader_feed(&r, wire + at, n, &used, &m, &e);

			CHECK(k >= 0);
			at += used;
			if (k == 0)
				continue;
			str_addn(&got, m->data, m->len);
			str_addc(&got, '|');
			free(m);
		}
		CHECK_STR(str_c(&got), "abc||z|");
		CHECK(!grpc_reader_is_mid(&r) && grpc_reader_held(&r) == 0);
		grpc_reader_done(&r);
	}
}

TEST(reader_refuses)
{
	static const struct {
		uint8_t wire[5];
		enum err_code code;
		const char *text;
	} rows[] = {
		{ { 1, 0, 0, 0, 1 },
		  ERR_INTERNAL,
		  "grpc: compressed flag set with identity or empty encoding" },
		{ { 7, 0, 0, 0, 1 }, ERR_INTERNAL, "grpc: received unexpected payload format 7" },
		{ { 0, 0, 0, 0, 101 },
		  ERR_RESOURCE_EXHAUSTED,
		  "grpc: received message larger than max (101 vs. 100)" },
		{ { 0, 255, 255, 255, 255 },
		  ERR_RESOURCE_EXHAUSTED,
		  "grpc: received message larger than max (4294967295 vs. 100)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct grpc_reader r;
		struct grpc_msg *m = NULL;
		struct err e = { 0 };
		size_t used;

		grpc_reader_init(&r, 100);
		CHECK_FAIL(grpc_reader_feed(&r, rows[i].wire, 5, &used, &m, &e), &e, rows[i].code);
		CHECK_STR(e.msg, rows[i].text);
		grpc_reader_done(&r);
	}
}

/* The prefix may promise 16 MiB: memory comes with the bytes. */
TEST(reader_memory_follows_bytes)
{
	static const uint8_t wire[] = { 0, 1, 0, 0, 0, 'x' };
	struct grpc_reader r;
	struct grpc_msg *m = NULL;
	struct err e = { 0 };
	size_t used;

	grpc_reader_init(&r, 16 * 1024 * 1024);
	CHECK(grpc_reader_feed(&r, wire, sizeof wire, &used, &m, &e) == 0);
	CHECK(grpc_reader_held(&r) <= 1024);
	grpc_reader_done(&r);
}

TEST(decode_checks_strings_and_memory)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	void *m;

	/* field 1, string, "\xff" */
	CHECK_FAIL(grpc_decode(&containerd__services__version__v1__version_response__descriptor, a,
			       "\x0a\x01\xff", 3, &m, &e),
		   &e, ERR_INTERNAL);
	CHECK_STR(e.msg, "grpc: error unmarshalling request: string field contains invalid UTF-8");
	err_clear(&e);
	CHECK_FAIL(grpc_decode(&containerd__services__version__v1__version_response__descriptor, a,
			       "\x0a\x05z", 3, &m, &e),
		   &e, ERR_INTERNAL);
	err_clear(&e);
	/* A list of strings with a wrong second one. */
	CHECK_FAIL(grpc_decode(&google__protobuf__field_mask__descriptor, a,
			       "\x0a\x01x\x0a\x02\xc0\x80", 7, &m, &e),
		   &e, ERR_INTERNAL);
	err_clear(&e);

	/* Four million empty sub-messages: 8 MiB of bytes, a hundred times that decoded. */
	size_t n = 8 << 20;
	AUTO_FREE uint8_t *bomb = xmalloc(n);
	for (size_t i = 0; i < n; i += 2)
		bomb[i] = 0x0a, bomb[i + 1] = 0;
	CHECK_FAIL(
		grpc_decode(
			&containerd__services__namespaces__v1__list_namespaces_response__descriptor,
			a, bomb, n, &m, &e),
		&e, ERR_INTERNAL);
}
