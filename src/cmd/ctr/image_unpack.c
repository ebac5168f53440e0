/* Unpacking from the client, layer by layer: for an image that was pulled for another
 * snapshotter.  A pull unpacks in the daemon; this is the slow road. */
#include "cmd/ctr/container.h"

#include <time.h>

static int stat_snapshot(struct ctr *ctr, const char *snapshotter, const char *key, struct err *e)
{
	SNAPSHOTS(StatSnapshotRequest) req = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);

	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	return CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &req,
			snapshots__v1__stat_snapshot_response, NULL, e);
}

static void set_ref_label(struct ctr *ctr, const char *chain_id, size_t *ret_n, struct entry ***ret,
			  const ProtobufCMessageDescriptor *type)
{
	struct labels l = { 0 };

	labels_add(ctr->arena, &l, "containerd.io/snapshot.ref", chain_id);
	*ret = labels_to_pb(ctr->arena, &l, type);
	*ret_n = l.n;
}

static int apply(struct ctr *ctr, const struct oci_descriptor *layer,
		 SNAPSHOTS(PrepareSnapshotResponse) * p, const char *diff_id, bool sync,
		 struct err *e)
{
	Containerd__Services__Diff__V1__ApplyRequest req =
		CONTAINERD__SERVICES__DIFF__V1__APPLY_REQUEST__INIT;
	Containerd__Services__Diff__V1__ApplyResponse *rsp;
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;

	d.media_type = PB(layer->media_type);
	d.digest = PB(layer->digest);
	d.size = (int64_t)layer->size;
	req.diff = &d;
	req.mounts = p->mounts;
	req.n_mounts = p->n_mounts;
	req.sync_fs = sync;
	if (CTR_CALL(ctr, "diff.v1.Diff/Apply", &req, diff__v1__apply_response, &rsp, e) < 0)
		return -1;
	if (!rsp->applied || strcmp(rsp->applied->digest, diff_id) != 0)
		return err_set(e, ERR_UNKNOWN, "wrong diff id %s calculated on extraction, want %s",
			       rsp->applied ? rsp->applied->digest : "", diff_id);
	return 0;
}

static int unpack_layer(struct ctr *ctr, const char *snapshotter,
			const struct oci_descriptor *layer, const char *diff_id, const char *parent,
			const char *chain_id, bool sync, struct err *e)
{
	SNAPSHOTS(PrepareSnapshotRequest) req = SNAPSHOTS_INIT(PREPARE_SNAPSHOT_REQUEST);
	SNAPSHOTS(CommitSnapshotRequest) commit = SNAPSHOTS_INIT(COMMIT_SNAPSHOT_REQUEST);
	SNAPSHOTS(RemoveSnapshotRequest) rm = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);
	SNAPSHOTS(PrepareSnapshotResponse) * p;
	struct err ignored = { 0 };

	req.snapshotter = commit.snapshotter = rm.snapshotter = PB(snapshotter);
	req.key = commit.key = rm.key =
		arena_printf(ctr->arena, "%s %s", ctr_unique(ctr, "extract-"), chain_id);
	req.parent = PB(parent);
	set_ref_label(
		ctr, chain_id, &req.n_labels, (void *)&req.labels,
		&containerd__services__snapshots__v1__prepare_snapshot_request__labels_entry__descriptor);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Prepare", &req,
		     snapshots__v1__prepare_snapshot_response, &p, e) < 0) {
		if (e->code != ERR_ALREADY_EXISTS)
			return -1;
		err_clear(e); /* somebody else has unpacked it meanwhile */
		return 0;
	}
	commit.name = PB(chain_id);
	set_ref_label(
		ctr, chain_id, &commit.n_labels, (void *)&commit.labels,
		&containerd__services__snapshots__v1__commit_snapshot_request__labels_entry__descriptor);
	if (apply(ctr, layer, p, diff_id, sync, e) == 0 &&
	    CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Commit", &commit, e) == 0)
		return 0;
	(void)CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &rm, &ignored); /* e says why */
	if (e->code != ERR_ALREADY_EXISTS)
		return -1;
	err_clear(e);
	return 0;
}

/* The collector follows this label from the config to the snapshot. */
static int label_config(struct ctr *ctr, const struct image *img, const char *snapshotter,
			struct err *e)
{
	struct labels l = { 0 };

	labels_add(ctr->arena, &l,
		   arena_printf(ctr->arena, "containerd.io/gc.ref.snapshot.%s", snapshotter),
		   img->chain_id);
	return blob_label(ctr, img->config_descriptor.digest, &l, e);
}

int image_unpack_sync(struct ctr *ctr, const struct image *img, const char *snapshotter, bool sync,
		      struct err *e)
{
	const char **chain, **diff_ids = img->config.diff_ids;
	size_t n = img->config.n_diff_ids;
	struct err absent = { 0 };

	if (!n || stat_snapshot(ctr, snapshotter, img->chain_id, &absent) == 0)
		return 0;
	if (absent.code != ERR_NOT_FOUND)
		return err_copy(e, &absent);
	if (img->n_layers != n)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "mismatched image rootfs and manifest layers");
	chain = image_chain_ids(ctr->arena, diff_ids, n);
	for (size_t i = 0; i < n; i++) {
		struct err missing = { 0 };

		if (stat_snapshot(ctr, snapshotter, chain[i], &missing) == 0)
			continue;
		if (unpack_layer(ctr, snapshotter, &img->layers[i], diff_ids[i],
				 i ? chain[i - 1] : "", chain[i], sync, e) < 0)
			return err_wrap(e, "unpack layer %s", img->layers[i].digest);
	}
	return label_config(ctr, img, snapshotter, e);
}

int image_unpack(struct ctr *ctr, const struct image *img, const char *snapshotter, struct err *e)
{
	return image_unpack_sync(ctr, img, snapshotter, false, e);
}
