/* Why an operation failed: one class for programs, one sentence for people.
 *
 * Fallible functions above os/ take `struct err *e` last, return 0 (or a
 * non-negative result) on success and -1 on failure.  On failure, and only
 * then, *e is filled.  The struct holds no pointers: it needs no freeing, can
 * be made after fork(), and crosses a pipe in one write.
 *
 * Sentences are written as Go writes them, because clients compare: lower
 * case, outermost operation first, ": " between.  The class text (": not
 * found") is not part of msg: err_text() adds it at the API's border. */
#pragma once

#include "base/macros.h"

/* The numbers are gRPC's: sending one is a cast. */
enum err_code {
	ERR_OK = 0,
	ERR_CANCELLED = 1,
	ERR_UNKNOWN = 2, /* a failed system call nobody classified */
	ERR_INVALID_ARGUMENT = 3,
	ERR_DEADLINE_EXCEEDED = 4,
	ERR_NOT_FOUND = 5,
	ERR_ALREADY_EXISTS = 6,
	ERR_PERMISSION_DENIED = 7,
	ERR_RESOURCE_EXHAUSTED = 8,
	ERR_FAILED_PRECONDITION = 9,
	ERR_ABORTED = 10,
	ERR_OUT_OF_RANGE = 11,
	ERR_UNIMPLEMENTED = 12,
	ERR_INTERNAL = 13,
	ERR_UNAVAILABLE = 14,
	ERR_DATA_LOSS = 15,
	ERR_UNAUTHENTICATED = 16,
};

struct err {
	enum err_code code;
	int errnum; /* errno of the system call at the root of it, or 0 */
	char msg[1000];
};

/* These return -1, so that a failing function ends in `return err_...`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
int err_sys(struct err *e, int errnum, const char *fmt, ...) PRINTF(3, 4); /* ": " + Go's text */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3); /* "fmt: old msg" */
int err_copy(struct err *e, const struct err *from); /* e must be empty */

/* "old msg: more": what is known of the reason, behind it. */
void err_add(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* So that compilers and analyzers see the -1, too: they look for paths on which a failed function
 * returns 0 and leaves its outputs unset. */
static inline int err_failed_(int r)
{
	(void)r;
	return -1;
}
#define err_set(...) err_failed_((err_set)(__VA_ARGS__))
#define err_sys(...) err_failed_((err_sys)(__VA_ARGS__))
#define err_wrap(...) err_failed_((err_wrap)(__VA_ARGS__))
#define err_copy(...) err_failed_((err_copy)(__VA_ARGS__))

/* Makes e usable again, to try an alternative or to go on after a logged failure. */
void err_clear(struct err *e);

/* errno in Go's words ("no such file or directory"): peers' texts are compared. */
const char *err_errno_text(int errnum);

/* The class as Go's gRPC names its codes ("NotFound"); "Unknown" for what is none. */
const char *err_class_name(int code);

/* The class in containerd's words ("not found"), "" for ERR_OK and ERR_UNKNOWN. */
const char *err_class_text(enum err_code code);

/* The sentence with the class text behind it, unless it ends in it already (or, for
 * FAILED_PRECONDITION, in "conflict" or "not modified").  Writes at most n bytes; returns buf. */
const char *err_text(const struct err *e, char *buf, size_t n);
