#include "oci/platform.h"

#include "base/test.h"

TEST(names_are_normalised)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "linux/amd64", "linux/amd64" },    { "linux/x86_64", "linux/amd64" },
		{ "linux/amd64/v1", "linux/amd64" }, { "linux/arm64/v8", "linux/arm64" },
		{ "Linux/AArch64", "linux/arm64" },  { "linux/arm", "linux/arm/v7" },
		{ "linux/arm/v6", "linux/arm/v6" },  { "linux/armhf", "linux/arm/v7" },
		{ "linux/i386", "linux/386" },       { "windows/amd64", "windows/amd64" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		struct platform p;
		char text[PLATFORM_TEXT];

		CHECK_OK(platform_parse(rows[i].in, &p, &e), &e);
		CHECK_STR(platform_text(&p, text), rows[i].out);
	}
}

TEST(one_part_takes_the_rest_from_the_host)
{
	struct err e = { 0 };
	struct platform p, host = platform_host();

	CHECK_OK(platform_parse("s390x", &p, &e), &e);
	CHECK_STR(p.os, "linux");
	CHECK_STR(p.arch, "s390x");
	CHECK_OK(platform_parse("linux", &p, &e), &e);
	CHECK(platform_matches(&host, &p));
}

TEST(what_is_no_platform)
{
	static const char *const rows[] = {
		"",          "/",         "linux/",
		"linux//v7", "a/b/c/d",   "vax",
		"l x/y",     "linux/am*", "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		struct platform p;

		CHECK_FAIL(platform_parse(rows[i], &p, &e), &e, ERR_INVALID_ARGUMENT);
	}
}
