#include "base/toml_lex.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int toml_fail(struct toml *t, const char *why)
{
	return err_set(t->e, ERR_INVALID_ARGUMENT, "line %u: %s", t->line, why);
}

bool toml_take(struct toml *t, const char *what)
{
	size_t n = strlen(what);

	if ((size_t)(t->end - t->p) < n || memcmp(t->p, what, n) != 0)
		return false;
	t->p += n;
	return true;
}

void toml_blank(struct toml *t)
{
	while (toml_peek(t) == ' ' || toml_peek(t) == '\t')
		t->p++;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static int comment(struct toml *t)
{
	while (t->p < t->end && *t->p != '\n' &&
	       !(*t->p == '\r' && t->p + 1 < t->end && t->p[1] == '\n')) {
		if (is_control(*t->p))
			return toml_fail(t, "a control character in a comment");
		t->p++;
	}
	return 0;
}

static bool newline(struct toml *t)
{
	if (!toml_take(t, "\n") && !toml_take(t, "\r\n"))
		return false;
	t->line++;
	return true;
}

int toml_lines(struct toml *t)
{
	for (;;) {
		toml_blank(t);
		if (toml_peek(t) == '#' && comment(t) < 0)
			return -1;
		if (!newline(t))
			return 0;
	}
}

int toml_line_end(struct toml *t)
{
	toml_blank(t);
	if (toml_peek(t) == '#' && comment(t) < 0)
		return -1;
	if (t->p < t->end && !newline(t))
		return toml_fail(t, "text where the line should end");
	return 0;
}

static void add_utf8(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_addc(out, (char)c);
	} else if (c < 0x800) {
		str_addc(out, (char)(0xc0 | c >> 6));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		str_addc(out, (char)(0xe0 | c >> 12));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		str_addc(out, (char)(0xf0 | c >> 18));
		str_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static int unicode(struct toml *t, int digits, struct str *out)
{
	uint32_t c = 0;

	for (int i = 0; i < digits; i++) {
		char d = toml_peek(t);

		if (d >= '0' && d <= '9')
			c = c << 4 | (uint32_t)(d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			c = c << 4 | (uint32_t)((d | 0x20) - 'a' + 10);
		else
			return toml_fail(t, "a wrong \\u escape");
		t->p++;
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return toml_fail(t, "a \\u escape of no character");
	add_utf8(out, c);
	return 0;
}

/* Behind the backslash. */
static int escape(struct toml *t, bool is_long, struct str *out)
{
	static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\x1b";
	const char *at;

	if (is_long) { /* a backslash at the end of a line swallows white space */
		const char *p = t->p;

		while (p < t->end && (*p == ' ' || *p == '\t' || *p == '\r'))
			p++;
		if (p < t->end && *p == '\n') {
			t->p = p;
			do
				toml_blank(t);
			while (newline(t));
			return 0;
		}
	}
	char c = toml_peek(t);

	if (!c)
		return toml_fail(t, "a string that does not end");
	t->p++;
	if (c == 'u' || c == 'U')
		return unicode(t, c == 'u' ? 4 : 8, out);
	at = strchr(from, c);
	if (!at)
		return toml_fail(t, "an unknown escape");
	str_addc(out, to[at - from]);
	return 0;
}

/* Up to two quotes may stand right before the closing three. */
static bool long_end(struct toml *t, const char *three, struct str *out)
{
	if (!toml_take(t, three))
		return false;
	for (int i = 0; i < 2 && toml_peek(t) == *three; i++, t->p++)
		str_addc(out, *three);
	return true;
}

int toml_string(struct toml *t, bool may_be_long, struct str *out)
{
	char quote = *t->p;
	const char *three = quote == '"' ? "\"\"\"" : "'''";
	bool is_long = may_be_long && toml_take(t, three);

	if (is_long)
		(void)newline(t); /* the first one does not count */
	else
		t->p++;
	for (;;) {
		if (t->p == t->end)
			return toml_fail(t, "a string that does not end");
		if (is_long ? long_end(t, three, out) : *t->p == quote)
			break;
		if (is_long && newline(t)) {
			str_addc(out, '\n');
			continue;
		}
		char c = *t->p++;

		if (c == '\\' && quote == '"') {
			if (escape(t, is_long, out) < 0)
				return -1;
			continue;
		}
		if (is_control(c))
			return toml_fail(t, c == '\n' ? "a string that does not end"
						      : "a control character in a string");
		str_addc(out, c);
	}
	if (!is_long)
		t->p++;
	return 0;
}

static bool is_digit_of(char c, int base)
{
	if (base == 16)
		return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
	return c >= '0' && c < '0' + base;
}

/* Underscores stand between digits only. */
static bool underscores_are_right(const char *w, int base)
{
	for (size_t i = 0; w[i]; i++)
		if (w[i] == '_' &&
		    (i == 0 || !is_digit_of(w[i - 1], base) || !is_digit_of(w[i + 1], base)))
			return false;
	return true;
}

static void drop_underscores(char *w)
{
	char *to = w;

	for (; *w; w++)
		if (*w != '_')
			*to++ = *w;
	*to = 0;
}

static int integer(struct toml *t, char *w, json_object **ret)
{
	bool sign = *w == '-' || *w == '+', minus = *w == '-';
	char *digits = w + sign;
	int base = 10;
	uint64_t v = 0;

	if (digits[0] == '0' && digits[1]) {
		base = digits[1] == 'x' ? 16 : digits[1] == 'o' ? 8 : digits[1] == 'b' ? 2 : 0;
		if (!base || sign)
			return toml_fail(t, "a number with a leading zero");
		digits += 2;
	}
	if (!underscores_are_right(digits, base))
		return toml_fail(t, "an underscore that does not stand between digits");
	drop_underscores(digits);
	for (const char *p = digits; *p || p == digits; p++) {
		if (!is_digit_of(*p, base))
			return toml_fail(t, "a value that is none");
		int digit = *p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10;
		if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
		    __builtin_add_overflow(v, (uint64_t)digit, &v))
			return toml_fail(t, "a number out of range");
	}
	if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
		return toml_fail(t, "a number out of range");
	*ret = json_object_new_int64(minus ? (int64_t)(0 - v) : (int64_t)v);
	return 0;
}

static int floating(struct toml *t, char *w, json_object **ret)
{
	const char *p = w + (*w == '-' || *w == '+');
	char *end;

	if (strcmp(p, "inf") == 0 || strcmp(p, "nan") == 0) {
		double v = *p == 'i' ? (double)INFINITY : (double)NAN;

		*ret = json_object_new_double(*w == '-' ? -v : v);
		return 0;
	}
	if (!underscores_are_right(p, 10) || *p < '0' || *p > '9' ||
	    (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return toml_fail(t, "a value that is none");
	const char *dot = strchr(p, '.');

	if (dot && (dot[1] < '0' || dot[1] > '9'))
		return toml_fail(t, "a value that is none");
	drop_underscores(w);
	double v = strtod(w, &end);

	if (*end || strpbrk(p, "xXpP"))
		return toml_fail(t, "a value that is none");
	*ret = json_object_new_double(v);
	return 0;
}

/* 1979-05-27, 07:32:00, and both: kept as text; only their shape is checked. */
static bool looks_like_time(const char *w)
{
	size_t digits = strspn(w, "0123456789");

	return (digits == 4 && w[4] == '-') || (digits == 2 && w[2] == ':');
}

int toml_scalar(struct toml *t, json_object **ret)
{
	static const char in_word[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"+-_.:";
	char w[80] = "";
	size_t n = 0;

	while (t->p < t->end && *t->p && strchr(in_word, *t->p) && n + 1 < sizeof w)
		w[n++] = *t->p++;
	w[n] = 0;
	if (n == 10 && looks_like_time(w) && t->end - t->p > 2 && t->p[0] == ' ' &&
	    t->p[1] >= '0' && t->p[1] <= '9') /* a space may stand between date and time */
		do
			w[n++] = *t->p++;
		while (t->p < t->end && *t->p && strchr(in_word, *t->p) && n + 1 < sizeof w);
	w[n] = 0;
	if (n == 0 || n + 1 == sizeof w)
		return toml_fail(t, "a value that is none");
	if (strcmp(w, "true") == 0 || strcmp(w, "false") == 0) {
		*ret = json_object_new_boolean(*w == 't');
		return 0;
	}
	if (looks_like_time(w)) {
		*ret = json_object_new_string(w);
		return 0;
	}
	const char *p = w + (*w == '-' || *w == '+');
	bool prefixed = p[0] == '0' && p[1] && strchr("xob", p[1]);

	if (!prefixed && (strpbrk(p, ".eE") || strcmp(p, "inf") == 0 || strcmp(p, "nan") == 0))
		return floating(t, w, ret);
	return integer(t, w, ret);
}
