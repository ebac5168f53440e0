/* ctr images mount, ctr images unmount: an image's files below a folder of the host, held by a
 * snapshot and a lease that are both named as the folder. */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/container.h"
#include "cmd/ctr/image_registry.h"
#include "cmd/ctr/mounts.h"
#include "cmd/ctr/snapshot_new.h"

#include "base/timefmt.h"

#include <errno.h>
#include <sys/mount.h>
#include <time.h>

enum { LEASE_SECONDS = 24 * 3600 };

const struct flag mount_flags[] = {
	{ "label", FLAG_LIST, NULL, "labels to attach to the snapshot" },
	{ "rw", FLAG_BOOL, NULL, "Enable write support on the mount" },
	{ "platform", FLAG_STRING, NULL, "Mount the image for the specified platform" },
	{ "sync-fs", FLAG_BOOL, NULL,
	  "Synchronize the underlying filesystem containing files when unpack images, false by "
	  "default" },
	{ NULL },
};

const struct flag unmount_flags[] = {
	{ "label", FLAG_LIST, NULL, "taken for the original's sake: there is nothing to label" },
	{ "rm", FLAG_BOOL, NULL, "Remove the snapshot after a successful unmount" },
	{ NULL },
};

/* Held for a day, unless it is unmounted before; one that is there already is as good. */
static int hold(struct ctr *ctr, const char *target, const char *snapshotter, bool *ret_new,
		struct err *e)
{
	LEASES(CreateRequest) req = LEASES_INIT(CREATE_REQUEST);
	struct labels l = { 0 };
	char text[TIMEFMT_MAX];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += LEASE_SECONDS;
	now.tv_nsec = 0;
	labels_add(ctr->arena, &l, "containerd.io/gc.expire", timefmt_rfc3339(now, text));
	labels_add(ctr->arena, &l,
		   arena_printf(ctr->arena, "containerd.io/gc.ref.snapshot.%s", snapshotter),
		   target);
	req.id = PB(target);
	req.n_labels = l.n;
	req.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__leases__v1__create_request__labels_entry__descriptor);
	*ret_new = CTR_CALL(ctr, "leases.v1.Leases/Create", &req, leases__v1__create_response, NULL,
			    e) == 0;
	if (!*ret_new && e->code != ERR_ALREADY_EXISTS)
		return -1;
	err_clear(e);
	ctr->lease = target;
	return 0;
}

static int release(struct ctr *ctr, const char *target, struct err *e)
{
	LEASES(DeleteRequest) req = LEASES_INIT(DELETE_REQUEST);

	ctr->lease = NULL;
	req.id = PB(target);
	if (CTR_CALL_EMPTY(ctr, "leases.v1.Leases/Delete", &req, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return err_wrap(e, "error deleting lease");
	err_clear(e);
	return 0;
}

static int remove_snapshot(struct ctr *ctr, const char *snapshotter, const char *key, struct err *e)
{
	SNAPSHOTS(RemoveSnapshotRequest) req = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);

	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	if (CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &req, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return err_wrap(e, "error removing snapshot");
	err_clear(e);
	return 0;
}

struct mount_list {
	Containerd__Types__Mount **v;
	size_t n;
};

static int existing(struct ctr *ctr, const char *snapshotter, const char *key,
		    struct mount_list *ret, struct err *e)
{
	SNAPSHOTS(MountsRequest) req = SNAPSHOTS_INIT(MOUNTS_REQUEST);
	SNAPSHOTS(MountsResponse) * rsp;

	if (e->code != ERR_ALREADY_EXISTS)
		return -1;
	err_clear(e);
	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Mounts", &req, snapshots__v1__mounts_response,
		     &rsp, e) < 0)
		return -1;
	*ret = (struct mount_list){ rsp->mounts, rsp->n_mounts };
	return 0;
}

static int view(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		const struct labels *l, struct mount_list *ret, struct err *e)
{
	SNAPSHOTS(ViewSnapshotResponse) * rsp;

	if (snapshot_view(ctr, snapshotter, key, parent, l, &rsp, e) < 0)
		return existing(ctr, snapshotter, key, ret, e);
	*ret = (struct mount_list){ rsp->mounts, rsp->n_mounts };
	return 0;
}

static int prepare(struct ctr *ctr, const char *snapshotter, const char *key, const char *parent,
		   const struct labels *l, struct mount_list *ret, struct err *e)
{
	SNAPSHOTS(PrepareSnapshotResponse) * rsp;

	if (snapshot_prepare(ctr, snapshotter, key, parent, l, &rsp, e) < 0)
		return existing(ctr, snapshotter, key, ret, e);
	*ret = (struct mount_list){ rsp->mounts, rsp->n_mounts };
	return 0;
}

static int mount_image(struct ctr *ctr, const struct args *args, const char *target, struct err *e)
{
	const char *snapshotter = snapshotter_of(args);
	struct mount_list mounts;
	struct labels l = { 0 };
	struct err ignored = { 0 };
	struct platform p;
	IMAGES(Image) * record;
	struct image img;
	size_t n;
	const char *const *words = args_list(args, "label", &n);

	labels_parse(ctr->arena, words, n, &l);
	if (platform_wanted(args, &p, e) < 0)
		return err_wrap(e, "unable to parse platform %s", args_string(args, "platform"));
	if (image_get(ctr, args->v[0], &record, e) < 0 || image_load(ctr, record, &p, &img, e) < 0)
		return -1;
	if (image_unpack_sync(ctr, &img, snapshotter, args_bool(args, "sync-fs"), e) < 0)
		return err_wrap(e, "error unpacking image");
	ctr_puts(ctr, img.chain_id);
	if ((args_bool(args, "rw") ? prepare : view)(ctr, snapshotter, target, img.chain_id, &l,
						     &mounts, e) < 0)
		return -1;
	if (mounts_perform(ctr->arena, mounts.v, mounts.n, target, e) < 0) {
		(void)remove_snapshot(ctr, snapshotter, target, &ignored); /* e says more */
		return -1;
	}
	ctr_puts(ctr, target);
	return 0;
}

int images_mount(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *target = args_at(args, 1);
	struct err ignored = { 0 };
	bool is_new;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to mount");
	if (!*target)
		return err_set(e, ERR_UNKNOWN, "please provide a target path to mount to");
	if (hold(ctr, target, snapshotter_of(args), &is_new, e) < 0)
		return -1;
	int r = mount_image(ctr, args, target, e);

	if (r < 0 && is_new)
		(void)release(ctr, target, &ignored); /* it expires otherwise */
	return r;
}

int images_unmount(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *target = args_at(args, 0);

	if (!*target)
		return err_set(e, ERR_UNKNOWN, "please provide a target path to unmount from");
	if (mounts_undo(target, e) < 0)
		return -1;
	if (args_bool(args, "rm") && (release(ctr, target, e) < 0 ||
				      remove_snapshot(ctr, snapshotter_of(args), target, e) < 0))
		return -1;
	ctr_puts(ctr, target);
	return 0;
}
