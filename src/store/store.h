/* What survives a reboot, under the daemon's root directory: one LMDB environment for names and
 * records, files for blobs, directories for snapshots.
 *
 *   ROOT/io.containerd.metadata.v1.lmdb/       the database (schema.h)
 *   ROOT/io.containerd.content.v1.content/     blobs/sha256/HEX, ingest/HASH/ (content.h)
 *   ROOT/io.containerd.snapshotter.v1.NAME/    snapshots/N/{fs,work} (snapshot.h)
 *
 * Rules for the whole folder.  Every call may come from any thread; each mutation is one
 * transaction, durable when it returns.  Lists and gets read a snapshot of the database and wait
 * for nobody; a visit function may read, but change nothing.  Records handed out live in the
 * caller's arena.  Store publishes no events and knows no protobuf: the engine does the first, api/
 * the second.  `ns` is a checked namespace name; `lease` is NULL or the lease which new objects
 * join (ERR_NOT_FOUND when there is none of that name).  A namespace appears with the first thing
 * written to it. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "store/snapshot_options.h"

#include <stdbool.h>

struct store;

/* Opens or makes everything below root (0700), recovers what a crash left: ingests stay,
 * half-made blobs and snapshot directories go.  One process at a time (ERR_FAILED_PRECONDITION
 * when another has it). */
int store_open(const char *root, struct store **ret, struct err *e);
int store_open_with(const char *root, const struct store_options *opt, struct store **ret,
		    struct err *e);
void store_close(struct store *s); /* NULL is fine; nobody may be in a call */

/* fn(arg, …) after each mutation but the collector's own, on its thread, and once more with
 * is_garbage set when it may have left something without an owner: it must be short.  Set once,
 * before the store has other users. */
typedef void store_change_fn(void *arg, bool is_garbage);
void store_on_change(struct store *s, store_change_fn *fn, void *arg);

const char *store_root(const struct store *s); /* borrowed from s */
