/* Inside of base/regex: the parser makes a tree, the compiler a program for the matcher. */
#pragma once

#include "base/mem.h"
#include "base/regex.h"

enum { RUNE_MAX = 0x10ffff };

struct range {
	uint32_t from, to;
};

struct class
{
	struct range *ranges; /* in the arena */
	size_t n, cap;
	bool is_negated;
};

enum node_kind {
	NODE_EMPTY,
	NODE_CLASS,
	NODE_ASSERT,
	NODE_CAT, /* a then b */
	NODE_ALT, /* a or b */
	NODE_REPEAT, /* a, min to max times; max < 0: no limit */
};

enum assert_kind {
	ASSERT_TEXT_START,
	ASSERT_TEXT_END,
	ASSERT_LINE_START,
	ASSERT_LINE_END,
	ASSERT_WORD,
	ASSERT_NOT_WORD,
};

struct node {
	enum node_kind kind;
	enum assert_kind assert;
	struct class *class;
	struct node *a, *b;
	int min, max;
};

/* 0, -EINVAL or -ENOTSUP. The tree lives in a. */
int regex_parse(const char *pattern, struct arena *a, struct node **ret);

/* The rune at p and its length; a byte that is no UTF-8 is U+FFFD, as in Go. */
uint32_t regex_rune(const char *p, size_t *ret_len);
