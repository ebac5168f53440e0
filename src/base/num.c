#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Digits of s in the base; *end is the first other character. */
static int digits(const char *s, unsigned base, uint64_t *ret, const char **end)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p < (char)('0' + base); p++)
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	if (p == s)
		return -EINVAL;
	*ret = v;
	*end = p;
	return 0;
}

int num_u64(const char *s, uint64_t *ret)
{
	const char *end;
	uint64_t v;
	int r = digits(s, 10, &v, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int num_u32(const char *s, uint32_t *ret)
{
	uint64_t v;
	int r = num_u64(s, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

int num_i64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;
	int r = num_u64(s + negative, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int num_i32(const char *s, int *ret)
{
	int64_t v;
	int r = num_i64(s, &v);

	if (r < 0)
		return r;
	if (v > INT32_MAX || v < INT32_MIN)
		return -ERANGE;
	*ret = (int)v;
	return 0;
}

int num_mode(const char *s, unsigned *ret)
{
	const char *end;
	uint64_t v;
	int r = digits(s, 8, &v, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	if (v > 07777)
		return -ERANGE;
	*ret = (unsigned)v;
	return 0;
}

int num_id(const char *s, uint32_t *ret)
{
	uint32_t v;
	int r = num_u32(s, &v);

	if (r < 0)
		return r;
	if (v == UINT32_MAX)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_size(const char *s, uint64_t *ret)
{
	static const char units[] = "bkmgtp";
	const char *end;
	uint64_t v;
	int r = digits(s, 10, &v, &end);

	if (r < 0)
		return r;
	if (*end) {
		const char *u = strchr(units, tolower((unsigned char)*end));

		if (!u)
			return -EINVAL;
		end++;
		if (u != units && tolower((unsigned char)*end) == 'i')
			end++;
		if (u != units && tolower((unsigned char)*end) == 'b')
			end++;
		if (*end)
			return -EINVAL;
		for (; u > units; u--)
			if (__builtin_mul_overflow(v, (uint64_t)1024, &v))
				return -ERANGE;
	}
	*ret = v;
	return 0;
}

static uint64_t unit_ns(const char *s, size_t n)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "ns", 1 },           { "us", 1000 },      { "\u00b5s", 1000 },
		      { "ms", 1000000 },     { "s", 1000000000 }, { "m", 60000000000 },
		      { "h", 3600000000000 } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == n && !memcmp(units[i].name, s, n))
			return units[i].ns;
	return 0;
}

/* One number with its unit; *s moves behind it. */
static int duration_part(const char **s, uint64_t *sum)
{
	static const char digit[] = "0123456789";
	size_t whole = strspn(*s, digit);
	const char *dot = *s + whole;
	size_t fraction = *dot == '.' ? strspn(dot + 1, digit) : 0;
	const char *unit = *dot == '.' ? dot + 1 + fraction : dot;
	size_t n = strcspn(unit, ".0123456789");
	uint64_t ns = unit_ns(unit, n), v = 0;

	if (!ns || whole + fraction == 0)
		return -EINVAL;
	for (const char *p = *s; p < dot; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	if (__builtin_mul_overflow(v, ns, &v))
		return -ERANGE;
	for (size_t i = 0; i < fraction && ns >= 10; i++) {
		ns /= 10; /* 60 s and 3600 s lose nothing before their tenth digit */
		v += (uint64_t)(dot[1 + i] - '0') * ns;
	}
	*s = unit + n;
	return __builtin_add_overflow(*sum, v, sum) || *sum > INT64_MAX ? -ERANGE : 0;
}

int num_duration(const char *s, uint64_t *ret)
{
	uint64_t sum = 0;
	int r = *s ? 0 : -EINVAL;

	if (!strcmp(s, "0"))
		s++;
	while (r == 0 && *s)
		r = duration_part(&s, &sum);
	if (r == 0)
		*ret = sum;
	return r;
}
