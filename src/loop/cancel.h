/* Cancellation of one call: a flag that every blocking helper can look at or poll on.
 *
 * Set once, by any thread (the client went away, the deadline passed, the daemon stops); the
 * first reason stays.  The one who made it frees it, after the last helper has returned. */
#pragma once

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct cancel {
	_Atomic int code; /* enum err_code: ERR_OK until it is set */
	pthread_mutex_t lock; /* guards fd */
	int fd; /* -1 until somebody asks for it */
};

void cancel_init(struct cancel *c);
void cancel_done(struct cancel *c);

/* code: ERR_CANCELLED or ERR_DEADLINE_EXCEEDED. */
void cancel_set(struct cancel *c, enum err_code code);

/* NULL is a call that nobody can cancel. */
bool cancel_is_set(const struct cancel *c);

/* 0, or -1 with "context canceled" or "context deadline exceeded". */
int cancel_check(const struct cancel *c, struct err *e);

/* An fd that polls readable once the call is cancelled; borrowed from c. -errno when the process
 * is out of fds; -1 (which poll(2) passes over) for NULL. */
int cancel_fd(struct cancel *c);

/* poll(2) on fd (-1: none) until it is ready for events, the call is cancelled or deadline
 * (CLOCK_MONOTONIC ns, 0: none) passes: 0, or -1 and the reason. */
int cancel_poll(struct cancel *c, int fd, short events, uint64_t deadline, struct err *e);
