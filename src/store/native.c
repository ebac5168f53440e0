/* native: each snapshot holds the whole tree, copied from its parent (sharing data where the file
 * system can).  Works everywhere; overlayfs is better where it works. */
#include "store/snapshotter.h"

#include "store/layer_dir.h"
#include "store/tree.h"

#include <errno.h>
#include <fcntl.h>

static int probe(struct snapshotter *sn UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	if (layer_dir_make(dirfd, e) < 0)
		return -1;
	if (l->nparents == 0)
		return 0;

	AUTO_FD int from = snapshotter_open_fs(sn, l->parents[0], e);
	if (from < 0)
		return -1;
	AUTO_FD int to = openat(dirfd, "fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return err_sys(e, errno, "open the new snapshot");

	int r = tree_copy(from, to);
	return r < 0 ? err_sys(e, -r, "copying of parent failed") : 0;
}

static int mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		  struct mounts *ret, struct err *e UNUSED)
{
	const char *options[] = { l->kind == SNAPSHOT_VIEW ? "ro" : "rw", "rbind" };

	mounts_set(a, ret, "bind", snapshotter_fs_path(sn, a, l->number), options, 2);
	return 0;
}

const struct snapshotter_ops native_ops = {
	.name = "native",
	.whiteout = WHITEOUT_REMOVE,
	.probe = probe,
	.make = make,
	.mounts = mounts,
};
