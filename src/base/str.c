#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void str_done(struct str *s)
{
	free(s->ptr);
	*s = (struct str){ .max = s->max };
}

/* Room for n more bytes and the terminator, or `over`. */
static bool reserve(struct str *s, size_t n)
{
	if (s->over || n > s->max - s->len) {
		s->over = true;
		return false;
	}
	if (s->len + n + 1 > s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;

		if (cap < s->len + n + 1)
			cap = s->len + n + 1;
		s->ptr = xreallocarray(s->ptr, cap, 1);
		s->cap = cap;
	}
	return true;
}

void str_addn(struct str *s, const void *bytes, size_t n)
{
	if (!reserve(s, n))
		return;
	if (n)
		memcpy(s->ptr + s->len, bytes, n);
	s->len += n;
	s->ptr[s->len] = 0;
}

void str_compact(struct str *s, size_t *at)
{
	if (*at < 65536 || *at < s->len - *at)
		return;
	s->len -= *at;
	memmove(s->ptr, s->ptr + *at, s->len + 1);
	*at = 0;
}

void str_add(struct str *s, const char *text)
{
	str_addn(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_addn(s, &c, 1);
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(s, (size_t)n)) {
		s->over = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(s->ptr + s->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	s->len += (size_t)n;
}

void str_add_base64(struct str *s, const void *bytes, size_t n)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		str_addc(s, set[v >> 18 & 63]);
		str_addc(s, set[v >> 12 & 63]);
		str_addc(s, i + 1 < n ? set[v >> 6 & 63] : '=');
		str_addc(s, i + 2 < n ? set[v & 63] : '=');
	}
}

void str_reset(struct str *s)
{
	s->len = 0;
	s->over = false;
	if (s->ptr)
		s->ptr[0] = 0;
}

char *str_take(struct str *s)
{
	char *p = s->ptr ? s->ptr : xstrdup("");

	*s = (struct str){ .max = s->max };
	return p;
}

const char *str_c(const struct str *s)
{
	return s->ptr ? s->ptr : "";
}

size_t str_utf8(const void *text, size_t n)
{
	const unsigned char *s = text;
	size_t len = !n                            ? 0
		     : s[0] < 0x80                 ? 1
		     : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		     : (s[0] & 0xf0) == 0xe0       ? 3
		     : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						   : 0;

	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (len > 1 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
			(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)))
		return 0;
	return len;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void strv_done(struct strv *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct strv){ 0 };
}

void strv_add_take(struct strv *l, char *s)
{
	if (l->n + 1 >= l->cap) {
		l->cap = l->cap ? l->cap * 2 : 8;
		l->v = xreallocarray(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n++] = s;
	l->v[l->n] = NULL;
}

void strv_add(struct strv *l, const char *s)
{
	strv_add_take(l, xstrdup(s));
}

void strv_addf(struct strv *l, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		BUG("vasprintf");
	va_end(ap);
	strv_add_take(l, s);
}

bool strv_has(const struct strv *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], s) == 0)
			return true;
	return false;
}
