/* Thompson's construction, run as a set of states (Pike): no backtracking. */
#include "base/regex.h"

#include "base/regex_priv.h"

#include <errno.h>
#include <string.h>

enum { MAX_PATTERN = 4096, MAX_PROGRAM = 10000 };

enum op { OP_CLASS, OP_ASSERT, OP_SPLIT, OP_JUMP, OP_MATCH };

struct inst {
	enum op op;
	enum assert_kind assert;
	const struct class *class;
	unsigned x, y;
};

struct regex {
	struct arena *arena;
	struct inst *prog;
	size_t n, cap;
	bool too_large;
};

static unsigned emit(struct regex *r, struct inst in)
{
	if (r->n >= MAX_PROGRAM) {
		r->too_large = true;
		return 0;
	}
	GROW(r->prog, r->n, r->cap);
	r->prog[r->n] = in;
	return (unsigned)r->n++;
}

static void compile(struct regex *r, const struct node *n);

static void compile_repeat(struct regex *r, const struct node *n)
{
	for (int i = 0; i < n->min && !r->too_large; i++)
		compile(r, n->a);
	if (n->max < 0) {
		unsigned split = emit(r, (struct inst){ .op = OP_SPLIT });

		r->prog[split].x = (unsigned)r->n;
		compile(r, n->a);
		emit(r, (struct inst){ .op = OP_JUMP, .x = split });
		r->prog[split].y = (unsigned)r->n;
		return;
	}
	/* Each further one only after the one before: nested, so that all skip to the end. */
	unsigned splits = 0; /* chained through y until the end is known */
	for (int i = n->min; i < n->max && !r->too_large; i++) {
		unsigned split = emit(r, (struct inst){ .op = OP_SPLIT, .y = splits });

		splits = split + 1;
		r->prog[split].x = (unsigned)r->n;
		compile(r, n->a);
	}
	while (splits) {
		unsigned before = r->prog[splits - 1].y;

		r->prog[splits - 1].y = (unsigned)r->n;
		splits = before;
	}
}

/* Concatenations lean left, one level a character: walked by a loop, not by recursion. */
static void compile_cat(struct regex *r, const struct node *n)
{
	size_t count = 1;

	for (const struct node *m = n; m->kind == NODE_CAT; m = m->a)
		count++;

	const struct node **parts = arena_array(r->arena, count, sizeof *parts);
	size_t i = 0;
	for (; n->kind == NODE_CAT; n = n->a)
		parts[i++] = n->b;
	parts[i] = n;
	while (count && !r->too_large)
		compile(r, parts[--count]);
}

static void compile_alt(struct regex *r, const struct node *n)
{
	unsigned jumps = 0; /* chained through y */

	/* Leans left, too: alternatives in reverse order are the same language. */
	for (; n->kind == NODE_ALT && !r->too_large; n = n->a) {
		unsigned split = emit(r, (struct inst){ .op = OP_SPLIT });

		r->prog[split].x = (unsigned)r->n;
		compile(r, n->b);
		jumps = emit(r, (struct inst){ .op = OP_JUMP, .y = jumps }) + 1;
		r->prog[split].y = (unsigned)r->n;
	}
	compile(r, n);
	while (jumps && !r->too_large) {
		unsigned before = r->prog[jumps - 1].y;

		r->prog[jumps - 1].x = (unsigned)r->n;
		jumps = before;
	}
}

static void compile(struct regex *r, const struct node *n)
{
	if (r->too_large)
		return;
	switch (n->kind) {
	case NODE_EMPTY:
		return;
	case NODE_CLASS:
		emit(r, (struct inst){ .op = OP_CLASS, .class = n->class });
		return;
	case NODE_ASSERT:
		emit(r, (struct inst){ .op = OP_ASSERT, .assert = n->assert });
		return;
	case NODE_CAT:
		compile_cat(r, n);
		return;
	case NODE_ALT:
		compile_alt(r, n);
		return;
	case NODE_REPEAT:
		compile_repeat(r, n);
		return;
	}
}

int regex_compile(const char *pattern, struct regex **ret)
{
	struct node *tree;

	if (strnlen(pattern, MAX_PATTERN + 1) > MAX_PATTERN)
		return -EINVAL;

	struct regex *r = NEW(struct regex);
	r->arena = arena_new();
	int error = regex_parse(pattern, r->arena, &tree);
	if (error == 0) {
		compile(r, tree);
		emit(r, (struct inst){ .op = OP_MATCH });
		error = r->too_large ? -EINVAL : 0;
	}
	if (error < 0) {
		regex_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

void regex_free(struct regex *r)
{
	if (!r)
		return;
	arena_free(r->arena);
	free(r->prog);
	free(r);
}

/* A set of states, and the stack to fill it with. seen[i] == mark: in the set. */
struct run {
	const struct regex *r;
	unsigned *now, *next, *stack, *seen, mark;
	size_t n_now, n_next;
	bool matched;
};

static bool is_word(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_';
}

/* before and after: the runes around the place, 0 at the text's ends. */
static bool holds(enum assert_kind kind, uint32_t before, uint32_t after, bool start)
{
	switch (kind) {
	case ASSERT_TEXT_START:
		return start;
	case ASSERT_TEXT_END:
		return after == 0;
	case ASSERT_LINE_START:
		return start || before == '\n';
	case ASSERT_LINE_END:
		return after == 0 || after == '\n';
	case ASSERT_WORD:
		return is_word(before) != is_word(after);
	case ASSERT_NOT_WORD:
		return is_word(before) == is_word(after);
	}
	return false;
}

static bool in_class(const struct class *c, uint32_t rune)
{
	for (size_t i = 0; i < c->n; i++)
		if (rune >= c->ranges[i].from && rune <= c->ranges[i].to)
			return !c->is_negated;
	return c->is_negated;
}

/* Everything reachable from pc without reading goes into the next set. A state is pushed at most
 * once for each instruction that points to it: the stack holds 2 n + 1. */
static void follow(struct run *run, unsigned pc, uint32_t before, uint32_t after, bool start)
{
	size_t top = 0;

	run->stack[top++] = pc;
	while (top) {
		pc = run->stack[--top];
		if (run->seen[pc] == run->mark)
			continue;
		run->seen[pc] = run->mark;

		const struct inst *in = &run->r->prog[pc];
		switch (in->op) {
		case OP_MATCH:
			run->matched = true;
			return;
		case OP_CLASS:
			run->next[run->n_next++] = pc;
			break;
		case OP_ASSERT:
			if (holds(in->assert, before, after, start))
				run->stack[top++] = pc + 1;
			break;
		case OP_SPLIT:
			run->stack[top++] = in->y;
			run->stack[top++] = in->x;
			break;
		case OP_JUMP:
			run->stack[top++] = in->x;
			break;
		}
	}
}

static void step(struct run *run, const char *text)
{
	uint32_t before = 0, c = 0;
	size_t len = 0;

	for (const char *p = text;; p += len, before = c) {
		bool start = p == text;
		uint32_t read = before;

		c = *p ? regex_rune(p, &len) : 0;
		run->mark++;
		run->n_next = 0;
		for (size_t i = 0; i < run->n_now && !run->matched; i++)
			if (in_class(run->r->prog[run->now[i]].class, read))
				follow(run, run->now[i] + 1, before, c, start);
		if (!run->matched)
			follow(run, 0, before, c, start); /* unanchored: may begin anywhere */
		if (run->matched || !*p)
			return;

		unsigned *t = run->now;
		run->now = run->next;
		run->next = t;
		run->n_now = run->n_next;
	}
}

bool regex_matches(const struct regex *r, const char *text)
{
	AUTO_FREE unsigned *mem = xcalloc(5 * r->n + 1, sizeof *mem);
	struct run run = { .r = r,
			   .now = mem,
			   .next = mem + r->n,
			   .seen = mem + 2 * r->n,
			   .stack = mem + 3 * r->n };

	step(&run, text);
	return run.matched;
}
