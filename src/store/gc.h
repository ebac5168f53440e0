/* Garbage collection by reference.  Mark and sweep are one write transaction over the records:
 * nothing a concurrent call made or leased can be missed.  Files and directories go after it,
 * outside.  Roots: images, containers, live leases, open ingests, and what has
 * containerd.io/gc.root or an unexpired gc.expire; edges: containerd.io/gc.ref.* and gc.bref.*
 * labels, a container's image and snapshot, a snapshot's parent. */
#pragma once

#include "store/store.h"

#include <stdbool.h>

/* What a run removed, one call an object, after the transaction; for events.  type is "content",
 * "snapshots/NAME", "images", "leases", "mounts" or "ingests". */
typedef void gc_removed(const char *ns, const char *type, const char *id, void *arg);

struct gc_stats {
	size_t marked, removed, blobs, directories; /* blobs, directories: taken off the disk */
};

/* One run at a time; a second caller waits for the first and then runs.  removed may be NULL. */
int gc_run(struct store *s, gc_removed *removed, void *arg, struct gc_stats *ret, struct err *e);

/* True when something was deleted since the last run began (a run is worth its time). */
bool gc_is_due(struct store *s);
