/* Worker threads for straight-line handlers that may block.
 *
 * Starts with no thread, makes one whenever work waits and none is idle, up to max; a thread that
 * found nothing to do for the idle time ends.  Beyond max, work queues in order.  Stacks are
 * 256 KiB: no large locals, no deep recursion on input. */
#pragma once

#include "base/macros.h"

struct pool;

enum { POOL_MAX = 256, POOL_STACK = 256 * 1024 };
#define POOL_IDLE_NS 5000000000ull

struct pool *pool_new(unsigned max, uint64_t idle_ns);

/* Waits until everything queued has run and every thread has ended. Not from a worker. */
void pool_free(struct pool *p); /* NULL is fine */

/* Any thread; never blocks. */
typedef void pool_fn(void *arg);
void pool_run(struct pool *p, pool_fn *fn, void *arg);

/* Threads alive now: for metrics and tests. */
unsigned pool_threads(struct pool *p);
