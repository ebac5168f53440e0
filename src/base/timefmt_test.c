#include "base/test.h"
#include "base/timefmt.h"

TEST(times_are_printed_as_go_does)
{
	char buf[TIMEFMT_MAX];

	CHECK_STR(timefmt_rfc3339((struct timespec){ 0, 0 }, buf), "1970-01-01T00:00:00Z");
	CHECK_STR(timefmt_rfc3339((struct timespec){ 1795465587, 505494000 }, buf),
		  "2026-11-23T20:26:27.505494Z");
	CHECK_STR(timefmt_rfc3339((struct timespec){ TIMEFMT_GO_ZERO_SEC, 0 }, buf),
		  "0001-01-01T00:00:00Z");
}

/* Against libc, over leap years, eras, and before 1970. */
TEST(every_day_is_libc_s_day)
{
	char buf[TIMEFMT_MAX], want[TIMEFMT_MAX];

	for (int64_t t = -62135596800; t < 253402300800; t += 86400 * 97 + 3607) {
		time_t seconds = (time_t)t;
		struct timespec back;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		CHECK_STR(timefmt_rfc3339((struct timespec){ seconds, 0 }, buf), want);
		CHECK(timefmt_parse(buf, &back) == 0 && back.tv_sec == seconds);
	}
}

TEST(times_are_read_back)
{
	struct timespec t;

	CHECK(timefmt_parse("2026-11-23T20:26:27.505494Z", &t) == 0);
	CHECK(t.tv_sec == 1795465587 && t.tv_nsec == 505494000);
	CHECK(timefmt_parse("2026-11-23T22:26:27+02:00", &t) == 0 && t.tv_sec == 1795465587);
	static const char *const bad[] = { "",
					   "2026",
					   "2026-13-01T00:00:00Z",
					   "2026-11-23 20:26:27Z",
					   "2026-11-23T20:26:27",
					   "2026-11-23T20:26:27Zx" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(timefmt_parse(bad[i], &t) < 0);
}
