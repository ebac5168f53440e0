#include "oci/reference.h"

#include "base/mem.h"
#include "base/test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(short_names_are_dockers)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "alpine", "docker.io/library/alpine:latest" },
		{ "alpine:latest", "docker.io/library/alpine:latest" },
		{ "alpine:3.20", "docker.io/library/alpine:3.20" },
		{ "me/app", "docker.io/me/app:latest" },
		{ "docker.io/alpine", "docker.io/library/alpine:latest" },
		{ "index.docker.io/library/alpine", "docker.io/library/alpine:latest" },
		{ "localhost/x", "localhost/x:latest" },
		{ "localhost:5000/x/y:1", "localhost:5000/x/y:1" },
		{ "127.0.0.1:5000/bb:1", "127.0.0.1:5000/bb:1" },
		{ "[::1]:5000/bb", "[::1]:5000/bb:latest" },
		{ "quay.io/a__b/c-d--e/f.g_h", "quay.io/a__b/c-d--e/f.g_h:latest" },
		{ "alpine@sha256:" HEX, "docker.io/library/alpine@sha256:" HEX },
		{ "a.b/c:d@sha256:" HEX, "a.b/c:d@sha256:" HEX },
		{ "Reg/x", "Reg/x:latest" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		AUTO_FREE char *out = NULL;

		CHECK_OK(reference_normalize(rows[i].in, &out, &e), &e);
		CHECK_STR(out, rows[i].out);
	}
}

TEST(what_is_no_reference)
{
	static const char *const rows[] = {
		"",           ":x",          "a:",        "Alpine",
		"a//b",       "a/",          "/a",        "a/../b",
		"a/./b",      "..",          "a b",       "a:b c",
		"a:-x",       "a:.x",        "a@sha256:", "a@md5:0",
		"a@",         "x.y:99999/a", "x.y:/a",    "-x.y/a",
		"x-.y/a",     "x..y/a",      "[::1/a",    "[zz]/a",
		"a___b",      "a.-b",        "a-",        "_a",
		"http://a/b", "a\nb",        "a/b:c:d",   "a@sha256:" HEX "@sha256:" HEX,
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		AUTO_FREE char *out = NULL;

		if (reference_normalize(rows[i], &out, &e) >= 0)
			FAIL_("\"%s\" was taken as %s", rows[i], out);
		CHECK(e.code == ERR_INVALID_ARGUMENT);
	}
}

TEST(the_error_names_the_reference_and_the_reason)
{
	struct err e = { 0 };
	AUTO_FREE char *out = NULL;

	CHECK_FAIL(reference_normalize("a/../b", &out, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "invalid reference \"a/../b\": the repository's name is not valid");
}
