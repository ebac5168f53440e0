/* The few macros every file may use: attributes and owning locals. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

/* For our own bugs only; input never reaches it. */
#define BUG(msg) bug_(__FILE__, __LINE__, msg)
void bug_(const char *file, int line, const char *msg) NORETURN;

/* Owning locals.  An owner leaves its scope freed, or emptied by TAKE_*. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define AUTO_FREE CLEANUP(free_ptr)
#define AUTO_FD CLEANUP(close_fd)
#define TAKE_PTR(p)                 \
	({                          \
		typeof(p) p_ = (p); \
		(p) = NULL;         \
		p_;                 \
	})
#define TAKE_FD(fd)             \
	({                      \
		int fd_ = (fd); \
		(fd) = -1;      \
		fd_;            \
	})

static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

/* free() of what somebody else may still point to as far as the clang analyzer can see: it follows
 * neither counts of references nor objects that take themselves off their list. */
#ifdef __clang_analyzer__
#define FREE_SHARED(p) ((void)(p))
#else
#define FREE_SHARED(p) free(p)
#endif

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd); /* never retried: Linux frees the number even on EINTR */
}
