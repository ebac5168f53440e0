/* One direction of a process's stream: from one descriptor to another, until the end.
 *
 * Between pipes by splice(2), without a copy in our memory; otherwise a few KiB at a time, and no
 * more is read than was written: a slow reader stops the writer, not us.  Never blocks but on
 * regular files. */
#pragma once

#include "base/macros.h"

#include <stddef.h>
#include <stdint.h>

struct loop;
struct pump;

typedef void pump_fn(void *arg);

/* Owns both descriptors, which are made non-blocking.  fn(arg) runs once, from the loop, at the
 * end: end of file, or nobody takes the bytes any more; then both are closed, and the pump must be
 * freed. */
struct pump *pump_new(struct loop *l, int from, int to, pump_fn *fn, void *arg);

/* The same to a fifo that may have a reader or not.  A reader is waited for, however slow he is.
 * *keep is a reader of our own, closed when nobody has taken anything for a while: from that moment
 * on the kernel says whether there is another, and where there is none the bytes are dropped, so
 * that the process does not stand still for somebody who went away.
 *
 * With a sink every byte goes there first, for a log: then nobody has to read (`to` -1: there is no
 * fifo), and that while is none. */
struct pump_tee {
	void (*sink)(const char *bytes, size_t n, void *arg); /* or NULL */
	void *arg;
	int *keep;
	uint64_t patience; /* ns; without a sink */
};
struct pump *pump_new_tee(struct loop *l, int from, int to, const struct pump_tee *tee, pump_fn *fn,
			  void *arg);

void pump_free(struct pump *p); /* NULL is fine; from inside fn too; without calling fn */
