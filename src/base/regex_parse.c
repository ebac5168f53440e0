/* A pattern to a program for regex.c: the syntax of RE2, by recursive descent. */
#include "base/regex_priv.h"

#include <errno.h>
#include <string.h>

/* Depth is bounded for the stacks of worker threads. */
enum { MAX_DEPTH = 200, MAX_REPEAT = 1000 };

enum flag { FLAG_I = 1, FLAG_M = 2, FLAG_S = 4 };

struct parser {
	const char *p;
	struct arena *a;
	unsigned flags, depth;
	int error; /* the first one stays */
};

static void fail(struct parser *ps, int error)
{
	if (!ps->error)
		ps->error = error;
}

uint32_t regex_rune(const char *s, size_t *ret_len)
{
	const unsigned char *p = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *p < 0x80   ? 1
		   : *p < 0xc2 ? 0
		   : *p < 0xe0 ? 2
		   : *p < 0xf0 ? 3
		   : *p < 0xf5 ? 4
			       : 0;
	uint32_t r = n == 1 ? *p : *p & (0x7fu >> n);

	*ret_len = 1;
	if (n == 1)
		return r;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		r = r << 6 | (p[i] & 0x3f);
	}
	if (!n || r < least[n] || r > RUNE_MAX || (r >= 0xd800 && r < 0xe000))
		return 0xfffd;
	*ret_len = n;
	return r;
}

static struct node *new_node(struct parser *ps, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = ARENA_NEW(ps->a, struct node);

	n->kind = kind;
	n->a = a;
	n->b = b;
	return n;
}

static void add_range(struct parser *ps, struct class *c, uint32_t from, uint32_t to)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4;
		struct range *r = arena_array(ps->a, cap, sizeof *r);

		if (c->n)
			memcpy(r, c->ranges, c->n * sizeof *r);
		c->ranges = r;
		c->cap = cap;
	}
	c->ranges[c->n++] = (struct range){ from, to };
}

/* With the other case of ASCII letters under (?i). */
static void add_folded(struct parser *ps, struct class *c, uint32_t from, uint32_t to)
{
	add_range(ps, c, from, to);
	if (!(ps->flags & FLAG_I))
		return;
	for (uint32_t r = 'a'; r <= 'z'; r++) {
		uint32_t upper = r - 'a' + 'A';

		if (r >= from && r <= to)
			add_range(ps, c, upper, upper);
		if (upper >= from && upper <= to)
			add_range(ps, c, r, r);
	}
}

static void add_inverted(struct parser *ps, struct class *c, const struct range *r, size_t n)
{
	uint32_t next = 0;

	for (size_t i = 0; i < n; i++) { /* sorted, disjoint */
		if (r[i].from > next)
			add_range(ps, c, next, r[i].from - 1);
		next = r[i].to + 1;
	}
	add_range(ps, c, next, RUNE_MAX);
}

static const struct named {
	const char *name;
	struct range ranges[4];
	size_t n;
} names[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "ascii", { { 0, 0x7f } }, 1 },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
	{ "cntrl", { { 0, 0x1f }, { 0x7f, 0x7f } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { '!', '~' } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { ' ', '~' } }, 1 },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};

static const struct named escapes[] = {
	{ "d", { { '0', '9' } }, 1 },
	{ "s", { { '\t', '\n' }, { '\f', '\r' }, { ' ', ' ' } }, 3 },
	{ "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
};

static void add_named(struct parser *ps, struct class *c, const struct named *n, bool negated)
{
	if (negated)
		add_inverted(ps, c, n->ranges, n->n);
	for (size_t i = 0; !negated && i < n->n; i++)
		add_folded(ps, c, n->ranges[i].from, n->ranges[i].to);
}

/* \d \D \s \S \w \W after the backslash: false when it is none of them. */
static bool class_escape(struct parser *ps, struct class *c)
{
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		char lower = escapes[i].name[0];

		if (*ps->p != lower && *ps->p != lower - 'a' + 'A')
			continue;
		add_named(ps, c, &escapes[i], *ps->p != lower);
		ps->p++;
		return true;
	}
	if (*ps->p == 'p' || *ps->p == 'P')
		fail(ps, -ENOTSUP);
	return false;
}

static int hex(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

static uint32_t hex_escape(struct parser *ps)
{
	bool braces = *ps->p == '{';
	uint32_t r = 0;
	int digits = 0;

	if (braces)
		ps->p++;
	while (hex(*ps->p) >= 0 && (braces || digits < 2) && r <= RUNE_MAX) {
		r = r * 16 + (uint32_t)hex(*ps->p++);
		digits++;
	}
	if ((braces && *ps->p++ != '}') || (braces ? digits < 1 : digits != 2) || r > RUNE_MAX) {
		ps->p -= braces && !ps->p[-1]; /* stay on the NUL */
		fail(ps, -EINVAL);
	}
	return r;
}

/* One character written after a backslash. */
static uint32_t escaped_rune(struct parser *ps)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
	char ch = *ps->p;
	const char *at = ch ? strchr(from, ch) : NULL;

	if (!ch) {
		fail(ps, -EINVAL);
		return 0;
	}
	ps->p++;
	if (at)
		return (uint32_t)to[at - from];
	if (ch == 'x')
		return hex_escape(ps);
	if (ch >= '0' && ch <= '7') { /* octal: \0…; \1 to \7 need a second digit, else backrefs */
		uint32_t r = (uint32_t)(ch - '0');

		if (ch != '0' && (*ps->p < '0' || *ps->p > '7'))
			fail(ps, -EINVAL);
		for (int i = 0; i < 2 && *ps->p >= '0' && *ps->p <= '7'; i++)
			r = r * 8 + (uint32_t)(*ps->p++ - '0');
		return r;
	}
	if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '8' || ch == '9' ||
	    (unsigned char)ch >= 0x80)
		fail(ps, -EINVAL);
	return (unsigned char)ch;
}

static uint32_t plain_rune(struct parser *ps)
{
	size_t n;
	uint32_t r = regex_rune(ps->p, &n);

	ps->p += n;
	return r;
}

static struct node *class_node(struct parser *ps, struct class *c)
{
	struct node *n = new_node(ps, NODE_CLASS, NULL, NULL);

	n->class = c;
	return n;
}

static struct node *rune_node(struct parser *ps, uint32_t r)
{
	struct class *c = ARENA_NEW(ps->a, struct class);

	add_folded(ps, c, r, r);
	return class_node(ps, c);
}

/* "[:alpha:]" inside a class: false when it is not of that form. */
static bool posix_class(struct parser *ps, struct class *c)
{
	const char *start = ps->p + 2, *end;
	bool negated;

	if (ps->p[0] != '[' || ps->p[1] != ':' || !(end = strstr(start, ":]")))
		return false;
	negated = *start == '^';
	start += negated;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == (size_t)(end - start) &&
		    memcmp(names[i].name, start, (size_t)(end - start)) == 0) {
			add_named(ps, c, &names[i], negated);
			ps->p = end + 2;
			return true;
		}
	fail(ps, -EINVAL);
	return false;
}

static uint32_t class_rune(struct parser *ps)
{
	if (!*ps->p) {
		fail(ps, -EINVAL);
		return 0;
	}
	if (*ps->p != '\\')
		return plain_rune(ps);
	ps->p++;
	return escaped_rune(ps);
}

/* After the "[". */
static struct node *bracket(struct parser *ps)
{
	struct class *c = ARENA_NEW(ps->a, struct class);
	bool first = true;

	if (*ps->p == '^') {
		c->is_negated = true;
		ps->p++;
	}
	for (; !ps->error && (*ps->p != ']' || first); first = false) {
		if (posix_class(ps, c))
			continue;
		if (ps->p[0] == '\\') {
			ps->p++;
			if (class_escape(ps, c))
				continue;
			ps->p--;
		}
		uint32_t from = class_rune(ps), to = from;
		if (ps->p[0] == '-' && ps->p[1] && ps->p[1] != ']') {
			ps->p++;
			to = class_rune(ps);
		}
		if (to < from)
			fail(ps, -EINVAL);
		add_folded(ps, c, from, to);
	}
	if (!ps->error)
		ps->p++;
	return class_node(ps, c);
}

static struct node *assert_node(struct parser *ps, enum assert_kind kind)
{
	struct node *n = new_node(ps, NODE_ASSERT, NULL, NULL);

	n->assert = kind;
	return n;
}

static struct node *backslash(struct parser *ps)
{
	struct class *c = ARENA_NEW(ps->a, struct class);
	static const struct {
		char ch;
		enum assert_kind kind;
	} asserts[] = {
		{ 'A', ASSERT_TEXT_START },
		{ 'z', ASSERT_TEXT_END },
		{ 'b', ASSERT_WORD },
		{ 'B', ASSERT_NOT_WORD },
	};

	if (class_escape(ps, c))
		return class_node(ps, c);
	for (size_t i = 0; i < ARRAY_LEN(asserts); i++)
		if (*ps->p == asserts[i].ch) {
			ps->p++;
			return assert_node(ps, asserts[i].kind);
		}
	if (*ps->p == 'Q') { /* literal up to \E or the end */
		struct node *n = new_node(ps, NODE_EMPTY, NULL, NULL);

		for (ps->p++; *ps->p && !(ps->p[0] == '\\' && ps->p[1] == 'E');)
			n = new_node(ps, NODE_CAT, n, rune_node(ps, plain_rune(ps)));
		ps->p += *ps->p ? 2 : 0;
		return n;
	}
	return rune_node(ps, escaped_rune(ps));
}

static struct node *alternation(struct parser *ps);

/* "(?flags)" sets flags for the rest of the group at hand; "(?flags:" for its own. After "(?".
 * Returns true when a group follows. */
static bool group_flags(struct parser *ps)
{
	bool on = true;

	if (*ps->p == 'P')
		ps->p++;
	if (*ps->p == '<') { /* a name means nothing here */
		const char *end = strchr(ps->p, '>');

		if (!end || end == ps->p + 1)
			fail(ps, -EINVAL);
		ps->p = end ? end + 1 : ps->p;
		return true;
	}
	for (;; ps->p++) {
		unsigned bit = *ps->p == 'i'   ? FLAG_I
			       : *ps->p == 'm' ? FLAG_M
			       : *ps->p == 's' ? FLAG_S
					       : 0;

		if (bit && on)
			ps->flags |= bit;
		else if (bit)
			ps->flags &= ~bit;
		else if (*ps->p == '-' && on)
			on = false;
		else if (*ps->p != 'U') /* swaps greedy and lazy: the same here */
			break;
	}
	if (*ps->p != ':' && *ps->p != ')') {
		fail(ps, -EINVAL);
		return false;
	}
	return *ps->p++ == ':';
}

/* After the "(". */
static struct node *group(struct parser *ps)
{
	unsigned outer = ps->flags;
	struct node *n;

	if (ps->p[0] == '?') {
		ps->p++;
		if (!group_flags(ps))
			return new_node(ps, NODE_EMPTY, NULL, NULL); /* flags stay */
	}
	if (++ps->depth > MAX_DEPTH) {
		fail(ps, -EINVAL);
		return NULL;
	}
	n = alternation(ps);
	ps->depth--;
	if (*ps->p == ')')
		ps->p++;
	else
		fail(ps, -EINVAL);
	ps->flags = outer;
	return n;
}

static struct node *dot(struct parser *ps)
{
	struct class *c = ARENA_NEW(ps->a, struct class);

	if (!(ps->flags & FLAG_S))
		add_range(ps, c, '\n', '\n');
	c->is_negated = true;
	return class_node(ps, c);
}

static struct node *atom(struct parser *ps)
{
	char ch = *ps->p;

	switch (ch) {
	case '(':
		ps->p++;
		return group(ps);
	case '[':
		ps->p++;
		return bracket(ps);
	case '.':
		ps->p++;
		return dot(ps);
	case '\\':
		ps->p++;
		return backslash(ps);
	case '^':
		ps->p++;
		return assert_node(ps, ps->flags & FLAG_M ? ASSERT_LINE_START : ASSERT_TEXT_START);
	case '$':
		ps->p++;
		return assert_node(ps, ps->flags & FLAG_M ? ASSERT_LINE_END : ASSERT_TEXT_END);
	case '*':
	case '+':
	case '?':
		fail(ps, -EINVAL);
		return NULL;
	default:
		return rune_node(ps, plain_rune(ps));
	}
}

static int count(const char **p)
{
	int n = 0;

	if (**p < '0' || **p > '9')
		return -1;
	while (**p >= '0' && **p <= '9') {
		n = n * 10 + (*(*p)++ - '0');
		if (n > MAX_REPEAT)
			n = MAX_REPEAT + 1;
	}
	return n;
}

/* "{n}", "{n,}", "{n,m}": false when the brace is a literal, as in Go. */
static bool braces(struct parser *ps, int *min, int *max)
{
	const char *p = ps->p + 1;

	*min = *max = count(&p);
	if (*min < 0)
		return false;
	if (*p == ',') {
		p++;
		*max = *p == '}' ? -1 : count(&p);
		if (*max < 0 && *p != '}')
			return false;
	}
	if (*p != '}')
		return false;
	ps->p = p + 1;
	if (*min > MAX_REPEAT || *max > MAX_REPEAT || (*max >= 0 && *max < *min))
		fail(ps, -EINVAL);
	return true;
}

static struct node *repetition(struct parser *ps)
{
	struct node *n = atom(ps);
	bool again = false;

	for (;; again = true) {
		int min = 0, max = -1;

		if (*ps->p == '*' || *ps->p == '+' || *ps->p == '?') {
			min = *ps->p == '+';
			max = *ps->p == '?' ? 1 : -1;
			ps->p++;
		} else if (*ps->p != '{' || !braces(ps, &min, &max)) {
			return n;
		}
		if (again) /* "a**" is an error in Go */
			fail(ps, -EINVAL);
		if (*ps->p == '?')
			ps->p++; /* lazy */
		n = new_node(ps, NODE_REPEAT, n, NULL);
		n->min = min;
		n->max = max;
	}
}

static struct node *concatenation(struct parser *ps)
{
	struct node *n = new_node(ps, NODE_EMPTY, NULL, NULL);

	while (!ps->error && *ps->p && *ps->p != '|' && *ps->p != ')')
		n = new_node(ps, NODE_CAT, n, repetition(ps));
	return n;
}

static struct node *alternation(struct parser *ps)
{
	struct node *n = concatenation(ps);

	while (!ps->error && *ps->p == '|') {
		ps->p++;
		n = new_node(ps, NODE_ALT, n, concatenation(ps));
	}
	return n;
}

int regex_parse(const char *pattern, struct arena *a, struct node **ret)
{
	struct parser ps = { .p = pattern, .a = a };

	*ret = alternation(&ps);
	if (!ps.error && *ps.p) /* an unopened ")" */
		return -EINVAL;
	return ps.error;
}
