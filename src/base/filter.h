/* containerd's filter language, as clients send it to List calls and event subscriptions:
 *
 *	filter   := selector ("," selector)*		every selector must match
 *	selector := path [ ("==" | "!=" | "~=") value ]	no operator: the field is present
 *	path     := field ("." field)*			field: word or "quoted"
 *	value    := word or "quoted"; after ~= also /…/ and |…|
 *
 * A set of filters matches when any of them does, or when it is empty.  Immutable once compiled:
 * any number of threads may match at the same time. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct filter_set;

/* Compiles n texts.  ERR_INVALID_ARGUMENT `filters: parse error: [a >|b|< c]: reason` with the
 * position marked. */
int filter_compile(const char *const *texts, size_t n, struct filter_set **ret, struct err *e);
void filter_free(struct filter_set *f); /* NULL is fine */
static inline void filter_freep(struct filter_set **f)
{
	filter_free(*f);
}
#define AUTO_FILTER CLEANUP(filter_freep)

/* The value of a field of obj: path is n parts, as written between dots.  Returns the value
 * (borrowed, "" for present and empty) or NULL when absent or unknown.  Maps (labels,
 * annotations) look up the rest of the path joined by dots: filter_join(). */
typedef const char *filter_get_fn(const void *obj, const char *const *path, size_t n);

/* f NULL matches all. */
bool filter_match(const struct filter_set *f, filter_get_fn *get, const void *obj);

/* True when the parts joined by "." are key: how adaptors look into maps. */
bool filter_path_is(const char *const *path, size_t n, const char *key);
