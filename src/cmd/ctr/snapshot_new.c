#include "cmd/ctr/snapshot_new.h"

int snapshot_prepare(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		     const struct labels *l, SNAPSHOTS(PrepareSnapshotResponse) * *ret,
		     struct err *e)
{
	SNAPSHOTS(PrepareSnapshotRequest) req = SNAPSHOTS_INIT(PREPARE_SNAPSHOT_REQUEST);

	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	req.parent = PB(parent);
	req.n_labels = l->n;
	req.labels = (void *)labels_to_pb(
		ctr->arena, l,
		&containerd__services__snapshots__v1__prepare_snapshot_request__labels_entry__descriptor);
	return CTR_CALL(ctr, "snapshots.v1.Snapshots/Prepare", &req,
			snapshots__v1__prepare_snapshot_response, ret, e);
}

int snapshot_view(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		  const struct labels *l, SNAPSHOTS(ViewSnapshotResponse) * *ret, struct err *e)
{
	SNAPSHOTS(ViewSnapshotRequest) req = SNAPSHOTS_INIT(VIEW_SNAPSHOT_REQUEST);

	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	req.parent = PB(parent);
	req.n_labels = l->n;
	req.labels = (void *)labels_to_pb(
		ctr->arena, l,
		&containerd__services__snapshots__v1__view_snapshot_request__labels_entry__descriptor);
	return CTR_CALL(ctr, "snapshots.v1.Snapshots/View", &req,
			snapshots__v1__view_snapshot_response, ret, e);
}
