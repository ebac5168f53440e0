/* Containers: made from an image, a rootfs or a spec file; taken away with what belongs to them. */
#pragma once

#include "cmd/ctr/image_read.h"
#include "oci/generate.h"

/* The record; NOT_FOUND has the original's sentence. */
int container_get(struct ctr *ctr, const char *id, CONTAINERS(Container) * *ret, struct err *e);

/* Everything up to Containers.Create, by the options and arguments of run and create.  more: labels
 * behind those of the options, or NULL.  ret_root (or NULL) gets the new snapshot's mounts, NULL
 * where there is none.  On failure nothing is left. */
int container_create(struct ctr *ctr, const struct args *args, const struct labels *more,
		     CONTAINERS(Container) * *ret, SNAPSHOTS(PrepareSnapshotResponse) * *ret_root,
		     struct err *e);
/* The container's name by the same arguments, "" when it is missing. */
const char *container_name(const struct args *args);

/* The container and, unless keep_snapshot, its snapshot. */
int container_delete(struct ctr *ctr, const CONTAINERS(Container) * c, bool keep_snapshot,
		     struct err *e);

/* Both, asked for at once: for a container that nobody else uses. */
int container_discard(struct ctr *ctr, const CONTAINERS(Container) * c, struct err *e);

/* The mounts of a container's root, for Tasks.Create. */
int container_mounts(struct ctr *ctr, const CONTAINERS(Container) * c,
		     SNAPSHOTS(MountsResponse) * *ret, struct err *e);

/* The spec's process.terminal. */
int container_has_terminal(const CONTAINERS(Container) * c, bool *ret, struct err *e);

/* The options of args put into g; what g points to lives in the arena.  img may be NULL. */
int spec_from_args(struct ctr *ctr, const struct args *args, const struct image *img,
		   const char *id, struct generate *g, struct err *e);

/* --device VENDOR/CLASS=NAME (nri/cdi.h): *spec, which free() takes, is replaced. */
int spec_add_named_devices(const struct args *args, char **spec, struct err *e);
/* --blockio-class by --blockio-config-file (nri/blockio.h): the same. */
int spec_add_blockio(const struct args *args, char **spec, struct err *e);

/* --uidmap, --gidmap: both or none. */
struct idmap_flags {
	struct oci_idmappings uids, gids;
};
int idmap_flags_read(struct arena *a, const struct args *args, struct idmap_flags *ret,
		     struct err *e);
void idmap_flags_labels(struct arena *a, const struct idmap_flags *maps, struct labels *l);

/* Whether the snapshotter made of the labels what it should; m may be NULL. */
int idmap_flags_check(const struct idmap_flags *maps, const Containerd__Types__Mount *m,
		      const char *snapshotter, struct err *e);

/* The user of a container, looked up in the rootfs that mounts make (or in the folder path). */
int rootfs_user(struct ctr *ctr, Containerd__Types__Mount **mounts, size_t n, const char *path,
		const char *user, struct oci_user *ret, struct err *e);

/* Unpacks the image's layers into snapshots, where that has not been done for this snapshotter. */
int image_unpack(struct ctr *ctr, const struct image *img, const char *snapshotter, struct err *e);
/* sync: the daemon is asked to sync each layer's file system, which ours does anyway. */
int image_unpack_sync(struct ctr *ctr, const struct image *img, const char *snapshotter, bool sync,
		      struct err *e);
