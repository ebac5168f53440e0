/* Regular expressions in Go's (RE2's) syntax, matched in time linear in the text.
 *
 * Only "does it match anywhere" is asked, so there are no captures and greedy and lazy
 * repetitions are the same.  Ours, because POSIX and PCRE differ in syntax and backtrack on
 * hostile patterns, and RE2 is C++.  Immutable once compiled: any thread may match.
 *
 * Known: literals, . [classes] [:names:] \d \w \s \b \A \z \Q..\E \x \n.., groups of all kinds with
 * flags imsU, | * + ? {n,m}.  Not known: \p and \P (Unicode tables).  (?i) folds ASCII only. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct regex;

/* 0, -EINVAL (no regular expression, or one too large), -ENOTSUP (\p). The caller frees *ret. */
int regex_compile(const char *pattern, struct regex **ret);
void regex_free(struct regex *r); /* NULL is fine */
bool regex_matches(const struct regex *r, const char *text);
