/* Prepare and View of the Snapshots service, for the commands that make snapshots. */
#pragma once

#include "cmd/ctr/ctr.h"

/* parent "": none.  *ret lives in ctr's arena. */
int snapshot_prepare(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		     const struct labels *l, SNAPSHOTS(PrepareSnapshotResponse) * *ret,
		     struct err *e);
int snapshot_view(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		  const struct labels *l, SNAPSHOTS(ViewSnapshotResponse) * *ret, struct err *e);
