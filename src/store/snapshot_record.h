/* The record behind a snapshot, for the files of this folder. */
#pragma once

#include "store/db.h"
#include "store/record.h"
#include "store/snapshot.h"

struct snapshot_record {
	const char *name, *snapshotter, *parent;
	const char *remote; /* its key in another program, or "" */
	uint64_t number, kind, children;
	struct labels labels;
	struct snapshot_usage usage; /* when committed */
	struct timespec created, updated;
};

extern const struct rec_field snapshot_fields[];

/* 1, 0, -1 */
int snapshot_read(struct txn *t, const char *ns, const char *snapshotter, const char *name,
		  struct arena *a, struct snapshot_record *ret, struct err *e);

/* The record goes and its parent has one child less.  1, 0, -1; ERR_FAILED_PRECONDITION with
 * children. */
int snapshot_forget(struct txn *t, const char *ns, const char *snapshotter, const char *name,
		    struct err *e);
