/* What an open store is made of; for the files of this folder only. */
#pragma once

#include "store/activation_mounts.h"
#include "store/content_dir.h"
#include "store/db.h"
#include "store/snapshotter.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* Order of locks: gc, then content.commit or a snapshotter's, then the write transaction.  Nothing
 * is waited for inside a transaction. */
struct store {
	char *root;
	int lockfd;
	struct db *db;
	struct content_dir content;
	struct snapshotters snapshotters;
	struct activations activations;
	pthread_mutex_t gc; /* one collection at a time */
	atomic_bool is_gc_due;
	store_change_fn *on_change;
	void *on_change_arg;
};

/* After a mutation that may have left something without an owner. */
void store_made_garbage(struct store *s);

/* What a crash or an earlier boot left of activations goes; and what has no record (counted). */
int activations_recover(struct store *s, struct err *e);
int activations_sweep(struct store *s, size_t *ret_removed, struct err *e);
