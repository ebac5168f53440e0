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
