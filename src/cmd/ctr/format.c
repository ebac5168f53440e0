/* Times, sizes and ages as the original's tables show them; foreign text without what steers
 * terminals. */
#include "cmd/ctr/ctr.h"

#include "base/timefmt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

enum { TEXT_MAX = 64 << 20 };

/* How many bytes at s may be shown as they are: one character's, or 0.  C0, DEL, C1 and what is no
 * UTF-8 (of which a terminal might make either) may not. */
static size_t shown_len(const char *s, size_t n, const char *kept)
{
	size_t len = str_utf8(s, n);
	unsigned char c = (unsigned char)*s;

	if (len == 1 && (c < ' ' || c == 0x7f) && !strchr(kept, c))
		return 0;
	return len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : len;
}

static bool is_shown(const char *s)
{
	size_t len = 1;

	for (; *s && len; s += len)
		len = shown_len(s, SIZE_MAX, "");
	return len;
}

static char *replaced(const char *s, size_t n, const char *kept)
{
	struct str out = STR_INIT(TEXT_MAX);

	for (size_t len; n && *s; s += len, n -= len) {
		len = shown_len(s, n, kept);
		if (len) {
			str_addn(&out, s, len);
			continue;
		}
		str_addc(&out, '?');
		len = str_utf8(s, n);
		len += !len;
	}
	return str_take(&out);
}

char *printable(const char *s, size_t n)
{
	return replaced(s, n, "");
}

const char *shown(struct arena *a, const char *s)
{
	char *copy AUTO_FREE = NULL;

	if (is_shown(s))
		return s;
	copy = printable(s, SIZE_MAX);
	return arena_strdup(a, copy);
}

void ctr_puts(struct ctr *c, const char *s)
{
	puts(shown(c->arena, s));
}

void ctr_print(FILE *out, const char *fmt, ...)
{
	char *text AUTO_FREE = NULL, *clean AUTO_FREE = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		BUG("vasprintf");
	va_end(ap);
	clean = replaced(text, SIZE_MAX, "\n\t");
	fputs(clean, out);
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
