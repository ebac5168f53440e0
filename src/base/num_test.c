#include "base/num.h"
#include "base/test.h"

#include <errno.h>

TEST(num_id_never_wraps)
{
	uint32_t v = 7;

	CHECK(num_id("0", &v) == 0 && v == 0);
	CHECK(num_id("4294967294", &v) == 0 && v == 4294967294u);
	static const char *const bad[] = {
		"4294967295", "4294967296", "18446744073709551616", "-1", "+1", " 1", "1 ", "",
		"0x1",        "1a",         "2147483648000"
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(num_id(bad[i], &v) < 0);
	CHECK(v == 4294967294u);
}

TEST(num_i64_takes_its_whole_range)
{
	int64_t v;

	CHECK(num_i64("-9223372036854775808", &v) == 0 && v == INT64_MIN);
	CHECK(num_i64("9223372036854775807", &v) == 0 && v == INT64_MAX);
	CHECK(num_i64("9223372036854775808", &v) == -ERANGE);
	CHECK(num_i64("--1", &v) == -EINVAL);
}

TEST(num_size_knows_units)
{
	uint64_t v;

	CHECK(num_size("512", &v) == 0 && v == 512);
	CHECK(num_size("512m", &v) == 0 && v == 512u << 20);
	CHECK(num_size("1GiB", &v) == 0 && v == 1u << 30);
	CHECK(num_size("1gb", &v) == 0 && v == 1u << 30);
	CHECK(num_size("1mm", &v) < 0 && num_size("m", &v) < 0 && num_size("-1", &v) < 0);
	CHECK(num_size("99999999999p", &v) == -ERANGE);
}

TEST(num_duration_reads_what_go_writes)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} cases[] = {
		{ "0", 0, 0 },
		{ "0s", 0, 0 },
		{ "250ms", 0, 250000000 },
		{ "1m30s", 0, 90000000000 },
		{ "1.5s", 0, 1500000000 },
		{ ".5h", 0, 1800000000000 },
		{ "1h0m0.000000001s", 0, 3600000000001 },
		{ "7us", 0, 7000 },
		{ "", -EINVAL, 0 },
		{ "5", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ ".s", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },
		{ "1d", -EINVAL, 0 },
		{ "9223372037s", -ERANGE, 0 },
		{ "99999999999999999999999s", -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ns = 0;
		int r = num_duration(cases[i].text, &ns);

		if (r != cases[i].r || ns != cases[i].ns)
			FAIL_("\"%s\" gives %d and %llu", cases[i].text, r, (unsigned long long)ns);
	}
}

TEST(num_mode_is_octal)
{
	unsigned m;

	CHECK(num_mode("0644", &m) == 0 && m == 0644);
	CHECK(num_mode("1777", &m) == 0 && m == 01777);
	CHECK(num_mode("8", &m) < 0 && num_mode("10000", &m) == -ERANGE);
}
