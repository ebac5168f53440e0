/* Garbage collection in the background, never on the thread of a request; when is containerd's
 * scheduler's rule, by the same settings (struct config_gc):
 *
 *  - a first run startup_delay after the start;
 *  - deletion_threshold deletions: a run after schedule_delay;
 *  - fewer, or mutation_threshold other changes: a run when the pause since the last one is so long
 *    that runs take pause_threshold of the time, by their mean length so far; not before
 *    schedule_delay, so that one run serves many deletions that belong together.
 *
 * Unlike containerd's no timer runs while nothing changes.  The store does the work (store/gc.h).
 * Any thread may call. */
#pragma once

#include "base/err.h"
#include "engine/config.h"
#include "store/gc.h"

struct collector;
struct loop;
struct pool;

/* All borrowed; they outlive the collector (the loop and the pool may have stopped). */
struct collector *collector_new(struct store *s, const struct config_gc *settings,
				struct loop *loop, struct pool *pool);

/* The loop's thread, while the pool still works: no further run begins. */
void collector_stop(struct collector *c);

/* Waits for runs that are going on; later ones do not start. */
void collector_free(struct collector *c); /* NULL is fine */

/* What each run removed, for events; on the run's thread.  Set once, before the first run. */
void collector_set_report(struct collector *c, gc_removed *report, void *arg);

struct verifier;
/* Its memory is swept, too (NULL: there is none).  Set once, before the first run; borrowed. */
void collector_set_verifier(struct collector *c, const struct verifier *v);

/* Run now and return when done: for `sync` deletions. */
int collector_run(struct collector *c, struct err *e);
