/* Memory: allocation that cannot fail visibly, and arenas that die with their request.
 *
 * Every size that comes from outside is bounded before it gets here; running out of memory
 * aborts, since the daemons survive a crash anyway (style: Memory).  An arena belongs to one
 * thread at a time. */
#pragma once

#include "base/macros.h"

#include <stdarg.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* zeroed; n * size is checked */
void *xreallocarray(void *p, size_t n, size_t size); /* n * size is checked */
char *xstrdup(const char *s); /* NULL stays NULL */
char *xstrndup(const char *s, size_t n); /* at most n bytes, always terminated */
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

#define NEW(type) ((type *)xcalloc(1, sizeof(type)))

/* Room for one more element behind n: doubles, never fails.  p may be NULL when n is 0. */
#define GROW(p, n, cap)                                               \
	do {                                                          \
		if ((n) == (cap)) {                                   \
			(cap) = (cap) ? (cap)*2 : 8;                  \
			(p) = xreallocarray((p), (cap), sizeof *(p)); \
		}                                                     \
	} while (0)

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
static inline void arena_freep(struct arena **a)
{
	arena_free(*a);
}
#define AUTO_ARENA CLEANUP(arena_freep)

/* All zeroed (arena_alloc) or copied; freed together with the arena. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t n, size_t size); /* n * size is checked */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void *arena_memdup(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3) __attribute__((nonnull(2)));

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
