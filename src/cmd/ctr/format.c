/* Times, sizes and ages as the original's tables show them. */
#include "cmd/ctr/ctr.h"

#include "base/timefmt.h"

#include <inttypes.h>
#include <time.h>

char *printable(const char *s, size_t n)
{
	char *copy = xstrndup(s, n);

	for (char *c = copy; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return copy;
}

static struct timespec to_timespec(const Google__Protobuf__Timestamp *t)
{
	if (!t)
		return (struct timespec){ TIMEFMT_GO_ZERO_SEC, 0 };
	return (struct timespec){ t->seconds, t->nanos };
}

const char *time_rfc3339(struct arena *a, const Google__Protobuf__Timestamp *t)
{
	char buf[TIMEFMT_MAX];

	return arena_strdup(a, timefmt_rfc3339(to_timespec(t), buf));
}

const char *time_go(struct arena *a, const Google__Protobuf__Timestamp *t)
{
	char *text = arena_strdup(a, time_rfc3339(a, t)), *z = strchr(text, 'Z');

	if (z)
		*z = 0;
	text[10] = ' ';
	return arena_printf(a, "%s +0000 UTC", text);
}

const char *size_binary(struct arena *a, int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		v /= 1024;
	return arena_printf(a, "%02.1f %s", v, units[i]);
}

const char *size_human(struct arena *a, int64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		v /= 1000;
	return arena_printf(a, "%.4g%s", v, units[i]);
}

const char *age_text(struct arena *a, const Google__Protobuf__Timestamp *t)
{
	struct timespec now;
	int64_t s, hours;

	clock_gettime(CLOCK_REALTIME, &now);
	s = now.tv_sec - to_timespec(t).tv_sec;
	if (s < 1)
		return "Less than a second";
	if (s == 1)
		return "1 second";
	if (s < 60)
		return arena_printf(a, "%" PRId64 " seconds", s);
	if (s / 60 == 1)
		return "About a minute";
	if (s / 60 < 60)
		return arena_printf(a, "%" PRId64 " minutes", s / 60);
	hours = (s + 1800) / 3600;
	if (hours == 1)
		return "About an hour";
	if (hours < 48)
		return arena_printf(a, "%" PRId64 " hours", hours);
	if (hours < 24 * 14)
		return arena_printf(a, "%" PRId64 " days", hours / 24);
	if (hours < 24 * 60)
		return arena_printf(a, "%" PRId64 " weeks", hours / 24 / 7);
	if (hours < 24 * 365 * 2)
		return arena_printf(a, "%" PRId64 " months", hours / 24 / 30);
	return arena_printf(a, "%" PRId64 " years", hours / 24 / 365);
}
