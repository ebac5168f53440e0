#include "base/timefmt.h"

#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *timefmt_rfc3339(struct timespec t, char buf[TIMEFMT_MAX])
{
	struct tm tm;

	gmtime_r(&t.tv_sec, &tm);
	int n = snprintf(buf, TIMEFMT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);

	if (n < 0 || n >= TIMEFMT_MAX - 12) /* a year of more than four digits */
		n = snprintf(buf, TIMEFMT_MAX, "0001-01-01T00:00:00");
	else if (t.tv_nsec) {
		n += snprintf(buf + n, (size_t)(TIMEFMT_MAX - n), ".%09ld", t.tv_nsec);
		while (buf[n - 1] == '0')
			n--;
	}
	buf[n] = 'Z';
	buf[n + 1] = 0;
	return buf;
}

/* Exactly n digits. */
static int take(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return -EINVAL;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return 0;
}

static int expect(const char **p, const char *set)
{
	if (!**p || !strchr(set, **p))
		return -EINVAL;
	(*p)++;
	return 0;
}

static int take_offset(const char **p, int *ret_seconds)
{
	int hours, minutes;

	if (**p == 'Z' || **p == 'z') {
		(*p)++;
		*ret_seconds = 0;
		return 0;
	}
	int sign = **p == '-' ? -1 : 1;
	if (expect(p, "+-") < 0 || take(p, 2, &hours) < 0 || expect(p, ":") < 0 ||
	    take(p, 2, &minutes) < 0 || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int timefmt_parse(const char *s, struct timespec *ret)
{
	struct tm tm = { 0 };
	long nsec = 0;
	int offset;

	if (take(&s, 4, &tm.tm_year) < 0 || expect(&s, "-") < 0 || take(&s, 2, &tm.tm_mon) < 0 ||
	    expect(&s, "-") < 0 || take(&s, 2, &tm.tm_mday) < 0 || expect(&s, "Tt") < 0 ||
	    take(&s, 2, &tm.tm_hour) < 0 || expect(&s, ":") < 0 || take(&s, 2, &tm.tm_min) < 0 ||
	    expect(&s, ":") < 0 || take(&s, 2, &tm.tm_sec) < 0)
		return -EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
	    tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	if (*s == '.') {
		long unit = 100000000;

		for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
			nsec += (*s - '0') * unit; /* digits past the ninth count 0 */
	}
	if (take_offset(&s, &offset) < 0 || *s)
		return -EINVAL;

	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	ret->tv_sec = timegm(&tm) - offset;
	ret->tv_nsec = nsec;
	return 0;
}
