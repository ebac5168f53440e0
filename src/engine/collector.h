/* Garbage collection in the background: soon after something was deleted, once for many deletions,
 * never on the thread of a request.
 *
 * The store does the work (store/gc.h); this decides when.  Any thread may call. */
#pragma once

#include "base/err.h"
#include "store/gc.h"

struct collector;
struct loop;
struct pool;

/* A run follows within COLLECTOR_DELAY_NS of a deletion in the store, by itself.  All borrowed;
 * they outlive the collector (the loop and the pool may have stopped). */
#define COLLECTOR_DELAY_NS 100000000ull
struct collector *collector_new(struct store *s, struct loop *loop, struct pool *pool);

/* The loop's thread, while the pool still works: no further run begins. */
void collector_stop(struct collector *c);

/* Waits for runs that are going on; later ones do not start. */
void collector_free(struct collector *c); /* NULL is fine */

/* What each run removed, for events; on the run's thread.  Set once, before the first run. */
void collector_set_report(struct collector *c, gc_removed *report, void *arg);

/* Run now and return when done: for `sync` deletions. */
int collector_run(struct collector *c, struct err *e);
