/* One call on snapshots on its way through transactions and back ends; for snapshot*.c. */
#pragma once

#include "store/snapshot_record.h"
#include "store/snapshotter.h"

struct call {
	struct store *s;
	struct snapshotter *sn;
	const struct snapshot_at *at;
	struct arena *a;
	const char *key, *name, *parent;
	enum snapshot_kind kind;
	const struct labels *labels;
	const struct snapshot_info *in;
	const struct mask *mask;
	uint64_t number;
	const char *remote, *parent_remote; /* keys of a proxy's */
	bool is_synced; /* its files are on the disk */
	struct snapshot_usage usage;
	struct snapshot_info *ret;
	struct mounts *ret_mounts;
};

int snapshot_missing(const char *name, struct err *e);

/* c->parent is there and committed; c->parent_remote is set. */
int snapshot_check_parent(struct txn *t, struct call *c, struct err *e);
int snapshot_add_child(struct txn *t, const struct snapshot_at *at, const char *parent,
		       struct arena *a, int change, struct err *e);
char *snapshot_lease_type(struct arena *a, const char *snapshotter);
int snapshot_measure(int fd, struct snapshot_usage *ret, struct err *e);
