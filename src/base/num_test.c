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

TEST(num_mode_is_octal)
{
	unsigned m;

	CHECK(num_mode("0644", &m) == 0 && m == 0644);
	CHECK(num_mode("1777", &m) == 0 && m == 01777);
	CHECK(num_mode("8", &m) < 0 && num_mode("10000", &m) == -ERANGE);
}
