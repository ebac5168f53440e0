#include "base/timefmt.h"

#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back.  Not timegm() and
 * gmtime_r(): both read the machine's time zone first.  Years are counted from March, so that a
 * leap day is the last of its year, and in eras of 400, which are all alike. */
enum { ERA_DAYS = 146097, DAYS_TO_1970 = 719468, DAY = 86400 };

static int64_t days_from_date(int64_t year, int month, int day)
{
	year -= month < 3;

	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;

	return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - DAYS_TO_1970;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	days += DAYS_TO_1970;

	int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
	int64_t day_of_era = days - era * ERA_DAYS;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
			       day_of_era / (ERA_DAYS - 1)) /
			      365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month_from_march = (int)((5 * day_of_year + 2) / 153);

	*day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	*month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	*year = year_of_era + era * 400 + (*month < 3);
}

const char *timefmt_rfc3339(struct timespec t, char buf[TIMEFMT_MAX])
{
	int64_t days = t.tv_sec / DAY - (t.tv_sec % DAY < 0), year;
	int second = (int)(t.tv_sec - days * DAY), month, day;

	date_from_days(days, &year, &month, &day);
	int n = snprintf(buf, TIMEFMT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)year,
			 month, day, second / 3600, second / 60 % 60, second % 60);

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
	int year, month, day, hour, minute, second, offset;
	long nsec = 0;

	if (take(&s, 4, &year) < 0 || expect(&s, "-") < 0 || take(&s, 2, &month) < 0 ||
	    expect(&s, "-") < 0 || take(&s, 2, &day) < 0 || expect(&s, "Tt") < 0 ||
	    take(&s, 2, &hour) < 0 || expect(&s, ":") < 0 || take(&s, 2, &minute) < 0 ||
	    expect(&s, ":") < 0 || take(&s, 2, &second) < 0)
		return -EINVAL;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
	    second > 60)
		return -EINVAL;
	if (*s == '.') {
		long unit = 100000000;

		for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
			nsec += (*s - '0') * unit; /* digits past the ninth count 0 */
	}
	if (take_offset(&s, &offset) < 0 || *s)
		return -EINVAL;

	ret->tv_sec = days_from_date(year, month, day) * DAY + hour * 3600 + minute * 60 + second -
		      offset;
	ret->tv_nsec = nsec;
	return 0;
}
