/* One direction of a process's stream: from one descriptor to another, until the end.
 *
 * Between pipes by splice(2), without a copy in our memory; otherwise a few KiB at a time, and no
 * more is read than was written: a slow reader stops the writer, not us.  Never blocks but on
 * regular files. */
#pragma once

#include "base/macros.h"

struct loop;
struct pump;

typedef void pump_fn(void *arg);

/* Owns both descriptors, which are made non-blocking.  fn(arg) runs once, from the loop, at the
 * end: end of file, or nobody takes the bytes any more; then both are closed, and the pump must be
 * freed. */
struct pump *pump_new(struct loop *l, int from, int to, pump_fn *fn, void *arg);

void pump_free(struct pump *p); /* NULL is fine; from inside fn too; without calling fn */
