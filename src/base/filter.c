#include "base/filter.h"

#include "base/mem.h"
#include "base/regex.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { MAX_FILTER = 64 * 1024 };

enum filter_op { OP_PRESENT, OP_EQUAL, OP_NOT_EQUAL, OP_MATCHES };

struct selector {
	const char **path; /* n parts */
	size_t n, cap;
	enum filter_op op;
	const char *value;
	struct regex *regex; /* NULL: a wrong one, which matches nothing */
	struct selector *next;
};

struct filter {
	struct selector *selectors; /* NULL: matches all */
	struct filter *next;
};

struct filter_set {
	struct arena *arena;
	struct filter *filters;
};

/* Tokens, as containerd's scanner cuts them. */
enum token { TOK_END, TOK_SEPARATOR, TOK_OPERATOR, TOK_WORD, TOK_QUOTED, TOK_ILLEGAL };

struct scanner {
	const char *input;
	size_t at; /* the next byte */
	size_t start, end; /* of the last token */
	const char *problem; /* of an illegal token; NULL: the character itself */
	struct arena *arena;
	struct err *e;
};

static int parse_error(struct scanner *s, size_t pos, const char *fmt, ...) PRINTF(3, 4);

static int parse_error(struct scanner *s, size_t pos, const char *fmt, ...)
{
	AUTO_STR struct str where = STR_INIT(2 * MAX_FILTER);
	char reason[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	if (s->input[pos])
		str_addf(&where, "%.*s >|%c|< %s", (int)pos, s->input, s->input[pos],
			 s->input + pos + 1);
	else
		str_add(&where, s->input);
	return err_set(s->e, ERR_INVALID_ARGUMENT, "filters: parse error: [%s]: %s", str_c(&where),
		       reason);
}

static bool is_field_char(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Any graphic character, beyond ASCII too. */
static bool is_value_char(char c)
{
	return c != ',' && ((unsigned char)c >= 0x80 || isgraph((unsigned char)c));
}

static bool is_operator_char(char c)
{
	return c == '=' || c == '!' || c == '~';
}

static enum token scan_quoted(struct scanner *s)
{
	char quote = s->input[s->at++];

	for (;;) {
		char c = s->input[s->at];

		if (!c || c == '\n') {
			s->problem = "quoted literal not terminated";
			s->end = s->at;
			return TOK_ILLEGAL;
		}
		s->at++;
		if (c == quote) {
			s->end = s->at;
			return TOK_QUOTED;
		}
		if (c == '\\' && s->input[s->at] && s->input[s->at] != '\n')
			s->at++;
	}
}

static enum token scan_run(struct scanner *s, bool (*belongs)(char), enum token t)
{
	while (s->input[s->at] && belongs(s->input[s->at]))
		s->at++;
	s->end = s->at;
	return t;
}

/* value: a word may hold anything graphic. */
static enum token scan(struct scanner *s, bool value)
{
	while (is_space(s->input[s->at]))
		s->at++;
	s->start = s->end = s->at;
	s->problem = NULL;

	char c = s->input[s->at];
	if (!c)
		return TOK_END;
	if (c == '"' || c == '/' || c == '|')
		return scan_quoted(s);
	if (value && !is_operator_char(c) && is_value_char(c) && c != '.')
		return scan_run(s, is_value_char, TOK_WORD);
	if (c == ',' || c == '.') {
		s->end = ++s->at;
		return TOK_SEPARATOR;
	}
	if (is_operator_char(c))
		return scan_run(s, is_operator_char, TOK_OPERATOR);
	if (is_field_char(c))
		return scan_run(s, is_field_char, TOK_WORD);
	return TOK_ILLEGAL;
}

static char peek(struct scanner *s)
{
	while (is_space(s->input[s->at]))
		s->at++;
	return s->input[s->at];
}

static const char *token_text(const struct scanner *s)
{
	return arena_strndup(s->arena, s->input + s->start, s->end - s->start);
}

static void add_rune(struct str *out, uint32_t r)
{
	if (r < 0x80) {
		str_addc(out, (char)r);
		return;
	}
	if (r < 0x800) {
		str_addc(out, (char)(0xc0 | r >> 6));
	} else {
		if (r < 0x10000) {
			str_addc(out, (char)(0xe0 | r >> 12));
		} else {
			str_addc(out, (char)(0xf0 | r >> 18));
			str_addc(out, (char)(0x80 | (r >> 12 & 0x3f)));
		}
		str_addc(out, (char)(0x80 | (r >> 6 & 0x3f)));
	}
	str_addc(out, (char)(0x80 | (r & 0x3f)));
}

static int digit(char c, unsigned base)
{
	int v = c >= '0' && c <= '9'   ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : 99;

	return v < (int)base ? v : -1;
}

/* n digits at p; -1 when there are fewer. */
static int64_t number(const char *p, const char *end, size_t n, unsigned base)
{
	int64_t v = 0;

	if ((size_t)(end - p) < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (digit(p[i], base) < 0)
			return -1;
		v = v * base + digit(p[i], base);
	}
	return v;
}

/* One Go escape behind the backslash at p. Returns the bytes used, 0 when it is wrong. */
static size_t unescape(struct str *out, const char *p, const char *end, char quote)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	const char *known = strchr(from, *p);
	size_t digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
	int64_t v;

	if (*p == '\\' || *p == quote) {
		str_addc(out, *p);
		return 1;
	}
	if (known) {
		str_addc(out, to[known - from]);
		return 1;
	}
	if (digits) {
		v = number(p + 1, end, digits, 16);
		if (v < 0 || v > 0x10ffff || (digits > 2 && v >= 0xd800 && v < 0xe000))
			return 0;
		if (digits == 2)
			str_addc(out, (char)v);
		else
			add_rune(out, (uint32_t)v);
		return digits + 1;
	}
	v = number(p, end, 3, 8);
	if (v < 0 || v > 255)
		return 0;
	str_addc(out, (char)v);
	return 3;
}

static int unquote(struct scanner *s, bool alternatives, const char **ret)
{
	AUTO_STR struct str out = STR_INIT(MAX_FILTER);
	const char *p = s->input + s->start + 1, *end = s->input + s->end - 1;
	char quote = p[-1];

	if (quote != '"' && !alternatives)
		return parse_error(s, s->start, "invalid quote encountered");
	while (p < end) {
		if (*p != '\\') {
			str_addc(&out, *p++);
			continue;
		}
		size_t used = unescape(&out, p + 1, end, quote);
		if (!used)
			return parse_error(s, (size_t)(p - s->input), "illegal escape sequence");
		p += used + 1;
	}
	if (strlen(str_c(&out)) != out.len)
		return parse_error(s, s->start, "unquoting failed: a NUL byte");
	*ret = arena_strdup(s->arena, str_c(&out));
	return 0;
}

static int illegal(struct scanner *s)
{
	if (s->problem)
		return parse_error(s, s->start, "%s", s->problem);
	return parse_error(s, s->start, "illegal character");
}

static int parse_field(struct scanner *s, const char **ret)
{
	switch (scan(s, false)) {
	case TOK_WORD:
		*ret = token_text(s);
		return 0;
	case TOK_QUOTED:
		return unquote(s, false, ret);
	case TOK_ILLEGAL:
		return illegal(s);
	default:
		return parse_error(s, s->start, "expected field or quoted");
	}
}

static int parse_path(struct scanner *s, struct selector *sel)
{
	for (;;) {
		if (sel->n == sel->cap) {
			size_t cap = sel->cap ? 2 * sel->cap : 4;
			const char **path = arena_array(s->arena, cap, sizeof *path);

			if (sel->n)
				memcpy(path, sel->path, sel->n * sizeof *path);
			sel->path = path;
			sel->cap = cap;
		}
		if (parse_field(s, &sel->path[sel->n++]) < 0)
			return -1;
		if (peek(s) != '.')
			return 0;
		(void)scan(s, false); /* the dot */
	}
}

static int parse_operator(struct scanner *s, enum filter_op *ret)
{
	static const struct {
		const char *text;
		enum filter_op op;
	} ops[] = { { "==", OP_EQUAL }, { "!=", OP_NOT_EQUAL }, { "~=", OP_MATCHES } };

	switch (scan(s, false)) {
	case TOK_OPERATOR:
		for (size_t i = 0; i < ARRAY_LEN(ops); i++)
			if (strcmp(token_text(s), ops[i].text) == 0) {
				*ret = ops[i].op;
				return 0;
			}
		return parse_error(s, s->start, "unsupported operator \"%.20s\"", token_text(s));
	case TOK_ILLEGAL:
		return illegal(s);
	default:
		return parse_error(s, s->start, "expected an operator (\"==\"|\"!=\"|\"~=\")");
	}
}

static int parse_value(struct scanner *s, bool alternatives, const char **ret)
{
	switch (scan(s, true)) {
	case TOK_WORD:
		*ret = token_text(s);
		return 0;
	case TOK_QUOTED:
		return unquote(s, alternatives, ret);
	case TOK_ILLEGAL:
		return illegal(s);
	case TOK_END:
		return err_set(s->e, ERR_INVALID_ARGUMENT, "filters: unexpected EOF");
	default:
		return parse_error(s, s->start, "expected value or quoted");
	}
}

static int parse_selector(struct scanner *s, struct selector *sel)
{
	if (parse_path(s, sel) < 0)
		return -1;

	char next = peek(s);
	if (!next || next == ',')
		return 0;
	if (parse_operator(s, &sel->op) < 0 ||
	    parse_value(s, sel->op == OP_MATCHES, &sel->value) < 0)
		return -1;
	if (sel->op != OP_MATCHES)
		return 0;
	if (regex_compile(sel->value, &sel->regex) == -ENOTSUP)
		return err_set(s->e, ERR_INVALID_ARGUMENT,
			       "filters: \\p classes are not supported in \"%.200s\"", sel->value);
	return 0;
}

static int parse_filter(struct scanner *s, struct filter *f)
{
	struct selector **tail = &f->selectors;

	if (!*s->input)
		return 0;
	for (;;) {
		*tail = ARENA_NEW(s->arena, struct selector);
		if (parse_selector(s, *tail) < 0)
			return -1;
		tail = &(*tail)->next;

		char next = peek(s);
		if (!next)
			return 0;
		if (next != ',')
			return parse_error(s, s->at, "unexpected input: %c", next);
		(void)scan(s, false); /* the comma */
	}
}

int filter_compile(const char *const *texts, size_t n, struct filter_set **ret, struct err *e)
{
	struct filter_set *set = NEW(struct filter_set);
	struct filter **tail = &set->filters;

	set->arena = arena_new();
	for (size_t i = 0; i < n; i++) {
		struct scanner s = { .input = texts[i], .arena = set->arena, .e = e };

		*tail = ARENA_NEW(set->arena, struct filter);
		if (strnlen(texts[i], MAX_FILTER) == MAX_FILTER)
			(void)err_set(e, ERR_INVALID_ARGUMENT, "filters: longer than %d bytes",
				      MAX_FILTER);
		if (e->code || parse_filter(&s, *tail) < 0) {
			filter_free(set);
			return -1;
		}
		tail = &(*tail)->next;
	}
	*ret = set;
	return 0;
}

void filter_free(struct filter_set *set)
{
	if (!set)
		return;
	for (struct filter *f = set->filters; f; f = f->next)
		for (struct selector *s = f->selectors; s; s = s->next)
			regex_free(s->regex);
	arena_free(set->arena);
	free(set);
}

static bool selector_matches(const struct selector *s, filter_get_fn *get, const void *obj)
{
	const char *value = get(obj, s->path, s->n);

	switch (s->op) {
	case OP_PRESENT:
		return value != NULL;
	case OP_EQUAL:
		return value && strcmp(value, s->value) == 0;
	case OP_NOT_EQUAL:
		return !value || strcmp(value, s->value) != 0;
	case OP_MATCHES:
		return s->regex && regex_matches(s->regex, value ?: "");
	}
	return false;
}

bool filter_match(const struct filter_set *set, filter_get_fn *get, const void *obj)
{
	if (!set || !set->filters)
		return true;
	for (const struct filter *f = set->filters; f; f = f->next) {
		const struct selector *s = f->selectors;

		while (s && selector_matches(s, get, obj))
			s = s->next;
		if (!s)
			return true;
	}
	return false;
}

bool filter_path_is(const char *const *path, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(path[i]);

		if (strncmp(key, path[i], len) != 0)
			return false;
		key += len;
		if (i + 1 < n && *key++ != '.')
			return false;
	}
	return !*key;
}
