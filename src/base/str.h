/* Strings that grow, with a maximum they were born with, and lists of strings.
 *
 * Invariants of struct str: ptr is NULL or terminated at ptr[len]; len <= max.  An append that
 * would pass max sets `over` and changes nothing more: check it once, at the end. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct str {
	char *ptr;
	size_t len, cap, max;
	bool over;
};

#define STR_INIT(limit) ((struct str){ .max = (limit) })
void str_done(struct str *s);
#define AUTO_STR CLEANUP(str_done)

void str_add(struct str *s, const char *text);
void str_addn(struct str *s, const void *bytes, size_t n);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) PRINTF(2, 3);
void str_add_base64(struct str *s, const void *bytes, size_t n); /* RFC 4648, padded */
void str_reset(struct str *s); /* empties, keeps the memory */
/* For a queue whose first *at bytes are used up: gives their place back when that is worth a copy
 * of the rest, and sets *at to 0.  A queue that never empties does not grow for ever. */
void str_compact(struct str *s, size_t *at);
char *str_take(struct str *s); /* the caller owns it; "" when nothing was added */
const char *str_c(const struct str *s); /* never NULL; borrowed from s */

/* Bytes of the well-formed UTF-8 character at s, 0 if there is none.  Looks at n bytes at most, and
 * at none behind a NUL. */
size_t str_utf8(const void *s, size_t n);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* A NULL-terminated list that owns its strings; zero-initialised is empty. */
struct strv {
	char **v;
	size_t n, cap;
};

void strv_done(struct strv *l);
#define AUTO_STRV CLEANUP(strv_done)
void strv_add(struct strv *l, const char *s);
void strv_add_take(struct strv *l, char *s);
void strv_addf(struct strv *l, const char *fmt, ...) PRINTF(2, 3);
bool strv_has(const struct strv *l, const char *s);
