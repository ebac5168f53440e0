/* Values of org.systemd.property.* annotations: GVariant's text form, without tuples, as runc takes
 * it ("uint64 5", "'text'", "['a', 'b']", "@as []", "{'k': <true>}"). */
#include "cgroup/systemd.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define KEY "org.systemd.property."
enum { DEPTH = 16, ITEMS_MAX = 4096 };
#define USEC UINT64_C(1000000)

struct reader {
	struct arena *a;
	const char *p;
	struct err *e;
	unsigned depth;
};

static int fail(struct reader *r, const char *why)
{
	return err_set(r->e, ERR_INVALID_ARGUMENT, "%s", why);
}

static int unexpected(struct reader *r)
{
	if (!*r->p)
		return fail(r, "unexpected EOF");
	return err_set(r->e, ERR_INVALID_ARGUMENT, "unexpected \"%c\"", *r->p);
}

static void skip_blanks(struct reader *r)
{
	r->p += strspn(r->p, " \t\r\n");
}

static bool accept(struct reader *r, char c)
{
	skip_blanks(r);
	if (*r->p != c)
		return false;
	r->p++;
	return true;
}

/* The end of one complete type, or NULL. */
static const char *type_end(const char *s, unsigned depth)
{
	if (!*s || depth == 0)
		return NULL;
	if (strchr("ybnqiuxtdsogv", *s))
		return s + 1;
	if (*s == 'a' && s[1] == '{') {
		const char *end =
			s[2] && strchr("ybnqiuxtdsog", s[2]) ? type_end(s + 3, depth - 1) : NULL;
		return end && *end == '}' ? end + 1 : NULL;
	}
	if (*s == 'a')
		return type_end(s + 1, depth - 1);
	if (*s != '(')
		return NULL;
	for (s++; s && *s != ')'; s = type_end(s, depth - 1))
		;
	return s ? s + 1 : NULL;
}

static const struct {
	const char *word, *type;
} words[] = {
	{ "boolean", "b" }, { "byte", "y" },   { "int16", "n" },      { "uint16", "q" },
	{ "int32", "i" },   { "uint32", "u" }, { "int64", "x" },      { "uint64", "t" },
	{ "double", "d" },  { "string", "s" }, { "objectpath", "o" }, { "signature", "g" },
};

/* A type in front of a value; *want stays when there is none. */
static int read_type(struct reader *r, const char **want)
{
	size_t n;
	const char *type = NULL;

	skip_blanks(r);
	if (*r->p == '@') {
		const char *end = type_end(r->p + 1, DEPTH);

		if (!end)
			return fail(r, "invalid type annotation");
		type = arena_strndup(r->a, r->p + 1, (size_t)(end - r->p - 1));
		r->p = end;
	}
	n = strspn(r->p, "abcdefghijklmnopqrstuvwxyz0123456789");
	for (size_t i = 0; !type && i < ARRAY_LEN(words); i++)
		if (strlen(words[i].word) == n && memcmp(words[i].word, r->p, n) == 0) {
			type = words[i].type;
			r->p += n;
		}
	if (type && *want && strcmp(type, *want) != 0)
		return fail(r, "unexpected type annotation");
	*want = type ?: *want;
	return 0;
}

/* n digits of a base: 0, -EINVAL, or -ERANGE. */
static int digits_of(const char *p, size_t n, unsigned base, uint64_t *ret)
{
	*ret = 0;
	if (!n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const char *all = "0123456789abcdef", *at;
		char c = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] - 'A' + 'a') : p[i];

		at = c ? strchr(all, c) : NULL;
		if (!at || (unsigned)(at - all) >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(*ret, base, ret) ||
		    __builtin_add_overflow(*ret, (uint64_t)(at - all), ret))
			return -ERANGE;
	}
	return 0;
}

/* The largest of each integer type; the smallest is one below minus that, or zero. */
static const struct {
	char type;
	bool is_signed;
	uint64_t max;
} integers[] = {
	{ 'y', false, UINT8_MAX },  { 'n', true, INT16_MAX },   { 'q', false, UINT16_MAX },
	{ 'i', true, INT32_MAX },   { 'u', false, UINT32_MAX }, { 'x', true, INT64_MAX },
	{ 't', false, UINT64_MAX },
};

static int read_integer(struct reader *r, const char *token, char type, struct dbus_value *ret)
{
	bool negative = *token == '-';
	const char *digits = token + (negative || *token == '+');
	bool is_hex = str_starts(digits, "0x") || str_starts(digits, "0X");
	unsigned base = is_hex ? 16 : *digits == '0' ? 8 : 10;
	uint64_t v;

	digits += is_hex ? 2 : 0;
	for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
		uint64_t max = integers[i].max + (negative ? 1 : 0);

		if (integers[i].type != type)
			continue;
		int failed = digits_of(digits, strlen(digits), base, &v);
		if (failed == -EINVAL)
			break;
		if (failed || (negative && !integers[i].is_signed) || v > max)
			return err_set(r->e, ERR_INVALID_ARGUMENT, "%s: value out of range", token);
		*ret = (struct dbus_value){ .type = type, .u.number = negative ? 0 - v : v };
		return 0;
	}
	return err_set(r->e, ERR_INVALID_ARGUMENT, "can't parse \"%s\" as type \"%c\"", token,
		       type);
}

static int read_number(struct reader *r, const char *want, struct dbus_value *ret)
{
	size_t n = strspn(r->p, "+-.0123456789abcdefxABCDEFX");
	const char *token = arena_strndup(r->a, r->p, n);
	bool is_hex = strpbrk(token, "xX");
	char type = want ? *want : !is_hex && strpbrk(token, ".e") ? 'd' : 'i';
	char *end;

	r->p += n;
	if (want && strlen(want) != 1)
		return err_set(r->e, ERR_INVALID_ARGUMENT, "can't parse \"%s\" as type \"%s\"",
			       token, want);
	if (type != 'd')
		return read_integer(r, token, type, ret);
	*ret = (struct dbus_value){ .type = 'd', .u.real = strtod(token, &end) };
	return *end || !isfinite(ret->u.real) ? fail(r, "invalid number") : 0;
}

static void add_utf8(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_addc(out, (char)c);
	} else if (c < 0x800) {
		str_addc(out, (char)(0xc0 | c >> 6));
		str_addc(out, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		str_addc(out, (char)(0xe0 | c >> 12));
		str_addc(out, (char)(0x80 | (c >> 6 & 63)));
		str_addc(out, (char)(0x80 | (c & 63)));
	} else {
		str_addc(out, (char)(0xf0 | c >> 18));
		str_addc(out, (char)(0x80 | (c >> 12 & 63)));
		str_addc(out, (char)(0x80 | (c >> 6 & 63)));
		str_addc(out, (char)(0x80 | (c & 63)));
	}
}

/* The digits behind a backslash's letter. */
static int read_code(struct reader *r, size_t n, unsigned base, uint32_t *ret)
{
	uint64_t v;

	if (strnlen(r->p, n) < n)
		return fail(r, "short escape");
	if (digits_of(r->p, n, base, &v) < 0)
		return fail(r, "invalid escape");
	r->p += n;
	*ret = (uint32_t)v;
	return 0;
}

static int read_escape(struct reader *r, bool is_bytes, struct str *out)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	char c = *r->p;
	const char *known = c ? strchr(from, c) : NULL;
	uint32_t code;

	if (!c)
		return unexpected(r);
	if (is_bytes ? c == 'x' : c == 'u' || c == 'U') {
		r->p++;
		if (read_code(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, &code) < 0)
			return -1;
		if (is_bytes)
			str_addc(out, (char)code);
		else if (!code || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return fail(r, "invalid escape"); /* what a D-Bus string can't hold */
		else
			add_utf8(out, code);
		return 0;
	}
	if (is_bytes && c >= '0' && c <= '3') {
		if (read_code(r, 3, 8, &code) < 0)
			return -1;
		str_addc(out, (char)code);
		return 0;
	}
	r->p++;
	if (c != '\n') /* a line that goes on */
		str_addc(out, known ? to[known - from] : c);
	return 0;
}

static int read_quoted(struct reader *r, bool is_bytes, struct str *out)
{
	char quote = *r->p++;

	while (*r->p != quote) {
		if (!*r->p)
			return fail(r, "unexpected EOF");
		if (*r->p != '\\') {
			str_addc(out, *r->p++);
			continue;
		}
		r->p++;
		if (read_escape(r, is_bytes, out) < 0)
			return -1;
	}
	r->p++;
	return 0;
}

static int read_string(struct reader *r, const char *want, struct dbus_value *ret)
{
	AUTO_STR struct str out = STR_INIT(65536);

	if (want && (strlen(want) != 1 || !strchr("sog", *want)))
		return err_set(r->e, ERR_INVALID_ARGUMENT, "invalid type \"%s\" for string", want);
	if (read_quoted(r, false, &out) < 0)
		return -1;
	if (out.over || (want && *want == 'g' && out.len > DBUS_SIGNATURE_MAX))
		return fail(r, "string too long");
	*ret = (struct dbus_value){ .type = want ? *want : 's',
				    .u.text = arena_strdup(r->a, str_c(&out)) };
	return 0;
}

static int read_bytes(struct reader *r, const char *want, struct dbus_value *ret)
{
	AUTO_STR struct str out = STR_INIT(65536);

	if (want && strcmp(want, "ay") != 0)
		return err_set(r->e, ERR_INVALID_ARGUMENT, "invalid type \"%s\" for string", want);
	r->p++;
	if (read_quoted(r, true, &out) < 0)
		return -1;
	if (out.over)
		return fail(r, "string too long");
	*ret = dbus_bytes(r->a, str_c(&out), out.len + 1); /* with its terminator */
	return 0;
}

static int read_value(struct reader *r, const char *want, struct dbus_value *ret);

static const char *signature_of(struct reader *r, const struct dbus_value *v)
{
	AUTO_STR struct str s = STR_INIT(DBUS_SIGNATURE_MAX);

	dbus_signature(v, &s);
	return arena_strdup(r->a, s.over ? "" : str_c(&s));
}

/* KEY: VALUE as one element. */
static int read_entry(struct reader *r, const char *want, struct dbus_value *ret)
{
	char key_type[2] = { want ? want[1] : 0, 0 };
	const char *value_type = want ? arena_strndup(r->a, want + 2, strlen(want) - 3) : NULL;
	struct dbus_value *pair = arena_array(r->a, 2, sizeof *pair);

	if (read_value(r, want ? key_type : NULL, &pair[0]) < 0)
		return -1;
	if (strchr("a(v{", pair[0].type))
		return fail(r, "invalid type of a key");
	if (!accept(r, ':'))
		return unexpected(r);
	if (read_value(r, value_type, &pair[1]) < 0)
		return -1;
	*ret = (struct dbus_value){ .type = '{', .v = pair, .n = 2 };
	return 0;
}

/* What is not told is learnt from the first element. */
static int read_list(struct reader *r, const char *want, char close, struct dbus_value *ret)
{
	bool is_dict = close == '}';
	struct dbus_value *v = NULL;
	const char *element = want ? want + 1 : NULL;
	size_t n = 0, cap = 0;
	int failed = 0;

	if (want && (*want != 'a' || (want[1] == '{') != is_dict))
		return err_set(r->e, ERR_INVALID_ARGUMENT, "can't parse %s as type \"%s\"",
			       is_dict ? "a dictionary" : "an array", want);
	while (!failed && !accept(r, close)) {
		if (n && !accept(r, ','))
			failed = unexpected(r);
		else if (n == ITEMS_MAX)
			failed = fail(r, "too many elements");
		if (failed)
			break;
		GROW(v, n, cap);
		failed = is_dict ? read_entry(r, element, &v[n]) : read_value(r, element, &v[n]);
		if (!failed && !element)
			element = signature_of(r, &v[n]);
		n += !failed;
	}
	if (!failed && (!element || !*element))
		failed = fail(r, "can't infer the type of an empty array");
	if (!failed)
		*ret = dbus_array(r->a, element, v, n);
	free(v);
	return failed;
}

static int read_inner(struct reader *r, const char *want, struct dbus_value *ret)
{
	struct dbus_value inner = { 0 };
	size_t n;

	if (read_type(r, &want) < 0)
		return -1;
	skip_blanks(r);
	n = strspn(r->p, "abcdefghijklmnopqrstuvwxyz");
	if ((n == 4 && memcmp(r->p, "true", 4) == 0) || (n == 5 && memcmp(r->p, "false", 5) == 0)) {
		r->p += n;
		*ret = dbus_bool(n == 4);
		return want && strcmp(want, "b") != 0 ? fail(r, "a boolean where none can be") : 0;
	}
	if (*r->p == 'b' && (r->p[1] == '"' || r->p[1] == '\''))
		return read_bytes(r, want, ret);
	if (*r->p == '"' || *r->p == '\'')
		return read_string(r, want, ret);
	if (accept(r, '['))
		return read_list(r, want, ']', ret);
	if (accept(r, '{'))
		return read_list(r, want, '}', ret);
	if (accept(r, '<')) {
		if (want && strcmp(want, "v") != 0)
			return fail(r, "a variant where none can be");
		if (read_value(r, NULL, &inner) < 0)
			return -1;
		if (!accept(r, '>'))
			return unexpected(r);
		*ret = dbus_variant(r->a, inner);
		return 0;
	}
	if (*r->p && strchr("+-.0123456789", *r->p))
		return read_number(r, want, ret);
	return unexpected(r);
}

static int read_value(struct reader *r, const char *want, struct dbus_value *ret)
{
	if (r->depth == DEPTH)
		return fail(r, "too many levels");
	r->depth++;
	int failed = read_inner(r, want, ret);
	r->depth--;
	return failed;
}

int systemd_parse_value(struct arena *a, const char *text, struct dbus_value *ret, struct err *e)
{
	struct reader r = { .a = a, .p = text, .e = e };

	if (read_value(&r, NULL, ret) < 0)
		return -1;
	skip_blanks(&r);
	return *r.p ? unexpected(&r) : 0;
}

static int seconds_to_usec(struct dbus_value *v, struct err *e)
{
	double usec = v->type == 'd' ? v->u.real * (double)USEC : 0;
	bool is_negative = strchr("nix", v->type) && (int64_t)v->u.number < 0;

	if (!strchr("ynqiuxtd", v->type))
		return err_set(e, ERR_INVALID_ARGUMENT, "not a number");
	if (is_negative || usec < 0 || usec >= 1.8e19 ||
	    (v->type != 'd' && v->u.number > UINT64_MAX / USEC))
		return err_set(e, ERR_INVALID_ARGUMENT, "value out of range");
	*v = dbus_u64(v->type == 'd' ? (uint64_t)usec : v->u.number * USEC);
	return 0;
}

static int check_name(const char *name, const char *key, struct err *e)
{
	if (strlen(name) < 3)
		return err_set(e, ERR_INVALID_ARGUMENT, "annotation %s name incorrect: too short",
			       key);
	for (const char *p = name; *p; p++)
		if (!(*p >= 'A' && *p <= 'Z') && !(*p >= 'a' && *p <= 'z'))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "annotation %s name incorrect: contains non-alphabetic "
				       "character",
				       key);
	return 0;
}

int systemd_annotation_properties(struct arena *a, const struct oci_pairs *annotations,
				  struct systemd_properties *ret, struct err *e)
{
	for (size_t i = 0; annotations && i < annotations->n; i++) {
		const char *key = annotations->v[i].key, *text = annotations->v[i].value;
		struct dbus_value value;
		const char *name;

		if (!str_starts(key, KEY))
			continue;
		name = key + strlen(KEY);
		if (check_name(name, key, e) < 0)
			return -1;
		if (systemd_parse_value(a, text, &value, e) < 0)
			return err_wrap(e, "annotation %s=%s value parse error", key, text);
		size_t stem = strlen(name) - (str_ends(name, "Sec") ? 3 : 0);
		if (name[stem] && stem && name[stem - 1] >= 'a' && name[stem - 1] <= 'z') {
			name = arena_printf(a, "%.*sUSec", (int)stem, name);
			if (seconds_to_usec(&value, e) < 0)
				return err_wrap(e, "annotation %s=%s value parse error", key, text);
		}
		systemd_add(ret, name, value);
	}
	return 0;
}
