/* overlayfs: each snapshot holds its own layer; the kernel puts them together. */
#include "store/snapshotter.h"

#include "base/str.h"
#include "os/file.h"
#include "os/syscall.h"
#include "store/layer_dir.h"

#include <sys/stat.h>

enum { LOWERDIR_MAX = 1 << 20 };

/* Makes a superblock with the real option set, without mounting it anywhere. */
static int try_overlay(const char *lower, const char *upper, const char *work)
{
	AUTO_FD int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return fs;

	int r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lower, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", upper, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "workdir", work, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	return r;
}

static int probe(int fd, struct err *e)
{
	static const char *const dirs[] = { "probe", "probe/lower", "probe/upper", "probe/work" };
	char path[3][64];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r == 0; i++)
		if (mkdirat(fd, dirs[i], 0700) < 0 && errno != EEXIST)
			r = -errno;
	for (size_t i = 0; i < ARRAY_LEN(path); i++)
		snprintf(path[i], sizeof path[i], "/proc/self/fd/%d/%s", fd, dirs[i + 1]);
	if (r == 0)
		r = try_overlay(path[0], path[1], path[2]);
	(void)file_remove_tree(fd, "probe"); /* a leftover is found by the next clean-up */
	return r < 0 ? err_sys(e, -r, "overlayfs does not work on this file system") : 0;
}

/* The upper directory is what a container sees as "/": owner and mode are the parent's. */
static int make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	if (layer_dir_make(dirfd, e) < 0)
		return -1;
	if (l->kind == SNAPSHOT_ACTIVE && mkdirat(dirfd, "work", 0711) < 0)
		return err_sys(e, errno, "create work directory");
	if (l->nparents == 0)
		return 0;

	AUTO_FD int parent = snapshotter_open_fs(sn, l->parents[0], e);
	struct stat st;

	if (parent < 0)
		return -1;
	if (fstat(parent, &st) < 0 ||
	    fchownat(dirfd, "fs", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dirfd, "fs", st.st_mode & 07777, 0) < 0)
		return err_sys(e, errno, "set owner of the snapshot");
	return 0;
}

static char *lowerdir(const struct snapshotter *sn, struct arena *a, const struct layers *l)
{
	AUTO_STR struct str s = STR_INIT(LOWERDIR_MAX);

	str_add(&s, "lowerdir=");
	for (size_t i = 0; i < l->nparents; i++)
		str_addf(&s, "%s%s", i ? ":" : "", snapshotter_fs_path(sn, a, l->parents[i]));
	return arena_strdup(a, str_c(&s));
}

static void mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		   struct mounts *ret)
{
	bool is_view = l->kind == SNAPSHOT_VIEW;

	if (l->nparents == 0 || (is_view && l->nparents == 1)) {
		const char *options[] = { is_view ? "ro" : "rw", "rbind" };
		uint64_t number = l->nparents ? l->parents[0] : l->number;

		mounts_set(a, ret, "bind", snapshotter_fs_path(sn, a, number), options, 2);
		return;
	}
	if (is_view) {
		const char *options[] = { lowerdir(sn, a, l), "index=off" };

		mounts_set(a, ret, "overlay", "overlay", options, 2);
		return;
	}

	const char *options[] = {
		arena_printf(a, "workdir=%s/%llu/work", sn->path, (unsigned long long)l->number),
		arena_printf(a, "upperdir=%s", snapshotter_fs_path(sn, a, l->number)),
		lowerdir(sn, a, l),
		"index=off",
	};
	mounts_set(a, ret, "overlay", "overlay", options, ARRAY_LEN(options));
}

const struct snapshotter_ops overlay_ops = {
	.name = "overlayfs",
	.whiteout = WHITEOUT_OVERLAY,
	.has_lowers = true,
	.probe = probe,
	.make = make,
	.mounts = mounts,
};
