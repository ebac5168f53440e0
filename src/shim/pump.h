/* One direction of a process's stream: from one descriptor to another, until the end.
 *
 * Between pipes by splice(2), without a copy in our memory; otherwise a few KiB at a time, and no
 * more is read than was written: a slow reader stops the writer, not us.  Never blocks but on
 * regular files. */
#pragma once

#include "base/macros.h"

#include <stddef.h>

struct loop;
struct pump;

typedef void pump_fn(void *arg);

/* Owns both descriptors, which are made non-blocking.  fn(arg) runs once, from the loop, at the
 * end: end of file, or nobody takes the bytes any more; then both are closed, and the pump must be
 * freed. */
struct pump *pump_new(struct loop *l, int from, int to, pump_fn *fn, void *arg);

/* The same for an output that is kept in a log: every byte goes to sink first.  `to` is a fifo that
 * may have a reader or not (-1: there is none).  A reader is waited for; without one the bytes
 * are dropped, once the fifo is full, so that nobody has to read.  *keep is a reader of our own,
 * closed then: from that moment on the kernel says whether there is another. */
struct pump_tee {
	void (*sink)(const char *bytes, size_t n, void *arg);
	void *arg;
	int *keep;
};
struct pump *pump_new_tee(struct loop *l, int from, int to, const struct pump_tee *tee, pump_fn *fn,
			  void *arg);

void pump_free(struct pump *p); /* NULL is fine; from inside fn too; without calling fn */
