/* The parts of base/toml.c: the text and the scalars in it.  Private to the reader. */
#pragma once

#include "base/str.h"
#include "base/toml.h"

struct toml {
	const char *p, *end;
	unsigned line, depth;
	struct err *e;
};

int toml_fail(struct toml *t, const char *why); /* -1 */

/* The byte at p, 0 at the end (the text has no NUL bytes). */
static inline char toml_peek(const struct toml *t)
{
	return t->p < t->end ? *t->p : 0;
}

bool toml_take(struct toml *t, const char *what); /* skips it when it stands here */
void toml_blank(struct toml *t); /* spaces and tabs */
int toml_lines(struct toml *t); /* also comments and line ends */
int toml_line_end(struct toml *t); /* the rest of the line must be empty or a comment */

int toml_string(struct toml *t, bool may_be_long, struct str *out);
int toml_scalar(struct toml *t, json_object **ret); /* numbers, booleans, dates */
