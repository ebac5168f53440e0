/* btrfs: each snapshot is a subvolume with the whole tree, sharing what it has in common with its
 * parent.  Mounted by its number, so that a container sees nothing of the directories above.
 *
 *   N/fs    active: the container's; committed: read-only
 *   N/new   a layer before the record says committed
 *   N/live  what a layer was made of, while a container goes on in it */
#include "store/snapshotter.h"

#include "base/num.h"
#include "base/str.h"
#include "os/file.h"
#include "os/syscall.h"
#include "store/layer_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#define LAYER "new"
#define LIVE "live"

enum { MOUNTS_MAX = 64 << 20 };

static const char *type_name(const struct statfs *s)
{
	switch ((unsigned long)s->f_type) {
	case EXT4_SUPER_MAGIC:
		return "ext4";
	case XFS_SUPER_MAGIC:
		return "xfs";
	case OVERLAYFS_SUPER_MAGIC:
		return "overlayfs";
	case TMPFS_MAGIC:
		return "tmpfs";
	default:
		return "another one";
	}
}

static int probe(struct snapshotter *sn, struct err *e)
{
	struct statfs s;

	if (fstatfs(sn->fd, &s) < 0)
		return err_sys(e, errno, "statfs %s", sn->root);
	if (s.f_type != BTRFS_SUPER_MAGIC)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "path %s (%s) must be a btrfs filesystem to be used with the btrfs "
			       "snapshotter",
			       sn->root, type_name(&s));
	return 0;
}

static int make_first(int dirfd, struct err *e)
{
	struct btrfs_ioctl_vol_args args = { .name = "fs" };

	if (ioctl(dirfd, BTRFS_IOC_SUBVOL_CREATE, &args) < 0 || fchmodat(dirfd, "fs", 0755, 0) < 0)
		return err_sys(e, errno, "create subvolume");
	return 0;
}

static int make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	struct btrfs_ioctl_vol_args_v2 args = { .name = "fs" };

	if (l->nparents == 0)
		return make_first(dirfd, e);

	AUTO_FD int parent = snapshotter_open_fs(sn, l->parents[0], e);

	if (parent < 0)
		return -1;
	args.fd = parent;
	args.flags = l->kind == SNAPSHOT_VIEW ? BTRFS_SUBVOL_RDONLY : 0;
	if (ioctl(dirfd, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0)
		return err_sys(e, errno, "snapshot of subvolume");
	return 0;
}

/* Of the subvolume that holds fd. */
static int subvolume_id(int fd, uint64_t *ret)
{
	struct btrfs_ioctl_ino_lookup_args args = { .objectid = BTRFS_FIRST_FREE_OBJECTID };

	if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, &args) < 0)
		return -errno;
	*ret = args.treeid;
	return 0;
}

/* Any device of the file system stands for all of them. */
static const char *device_of(int fd, struct arena *a, struct err *e)
{
	struct btrfs_ioctl_fs_info_args fs = { 0 };

	if (ioctl(fd, BTRFS_IOC_FS_INFO, &fs) < 0) {
		err_sys(e, errno, "ask for the file system's devices");
		return NULL;
	}
	for (uint64_t id = 1; id <= fs.max_id; id++) {
		struct btrfs_ioctl_dev_info_args dev = { .devid = id };

		if (ioctl(fd, BTRFS_IOC_DEV_INFO, &dev) == 0)
			return arena_strndup(a, (const char *)dev.path, sizeof dev.path);
	}
	err_set(e, ERR_INTERNAL, "the btrfs file system has no device");
	return NULL;
}

static int mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		  struct mounts *ret, struct err *e)
{
	const char *device = device_of(sn->fd, a, e);
	uint64_t id = 0;

	if (!device)
		return -1;

	AUTO_FD int fd = snapshotter_open_fs(sn, l->number, e);
	if (fd < 0)
		return -1;

	int r = subvolume_id(fd, &id);
	if (r < 0)
		return err_sys(e, -r, "ask for the subvolume's number");

	const char *options[] = { arena_printf(a, "subvolid=%llu", (unsigned long long)id), "ro" };

	mounts_set(a, ret, "btrfs", device, options, l->kind == SNAPSHOT_VIEW ? 2 : 1);
	return 0;
}

static int open_number(const struct snapshotter *sn, uint64_t number)
{
	char name[24];

	snprintf(name, sizeof name, "%llu", (unsigned long long)number);
	return openat(sn->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int destroy(int dirfd, const char *name)
{
	struct btrfs_ioctl_vol_args args = { 0 };

	snprintf(args.name, sizeof args.name, "%s", name);
	return ioctl(dirfd, BTRFS_IOC_SNAP_DESTROY, &args) < 0 ? -errno : 0;
}

/* A layer that others stand on changes no more, also where a container goes on in what it was: so
 * it becomes a read-only subvolume of its own.  Making one is durable when the call returns. */
static int seal(const struct snapshotter *sn, const struct layers *l,
		struct snapshot_usage *usage UNUSED, struct err *e)
{
	struct btrfs_ioctl_vol_args_v2 args = { .flags = BTRFS_SUBVOL_RDONLY, .name = LAYER };
	AUTO_FD int dirfd = open_number(sn, l->number);
	AUTO_FD int fs = snapshotter_open_fs(sn, l->number, e);

	if (fs < 0)
		return -1;
	if (dirfd < 0)
		return err_sys(e, errno, "open snapshot directory");
	(void)destroy(dirfd, LAYER); /* of an attempt before */
	args.fd = fs;
	if (ioctl(dirfd, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0)
		return err_sys(e, errno, "snapshot of subvolume");
	return 0;
}

static bool is_mounted(int fs)
{
	AUTO_FREE char *text = NULL, *option = NULL;
	uint64_t id = 0;

	if (subvolume_id(fs, &id) < 0 ||
	    file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &text, NULL) < 0)
		return true; /* not known */
	option = xasprintf("subvolid=%llu,", (unsigned long long)id);
	return strstr(text, option);
}

static void sealed(const struct snapshotter *sn, const struct layers *l)
{
	struct err ignored = { 0 };
	AUTO_FD int dirfd = open_number(sn, l->number);
	AUTO_FD int fs = snapshotter_open_fs(sn, l->number, &ignored);

	if (dirfd < 0 || fs < 0 || sys_renameat2(dirfd, LAYER, dirfd, "fs", RENAME_EXCHANGE) < 0)
		return;
	if (!is_mounted(fs))
		(void)destroy(dirfd, LAYER);
	else
		(void)renameat(dirfd, LAYER, dirfd, LIVE);
}

/* Whole subvolumes go at once, read-only ones too; one that holds others (a container made them)
 * is left to be removed file by file. */
static int discard(const struct snapshotter *sn, const char *name, struct err *e UNUSED)
{
	AUTO_FD int fd = openat(sn->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	static const char *const subvolumes[] = { LAYER, LIVE, "fs" };
	uint64_t writable = 0;

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(subvolumes); i++) {
		if (destroy(fd, subvolumes[i]) == 0)
			continue;
		AUTO_FD int fs =
			openat(fd, subvolumes[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fs >= 0)
			(void)ioctl(fs, BTRFS_IOC_SUBVOL_SETFLAGS,
				    &writable); /* rm -r says what is wrong */
	}
	return 0;
}

static bool has_id(const struct snapshotter *sn, uint64_t number, uint64_t want)
{
	struct err ignored = { 0 };
	AUTO_FD int fd = snapshotter_open_fs(sn, number, &ignored);
	uint64_t id = 0;

	return fd >= 0 && subvolume_id(fd, &id) == 0 && id == want;
}

/* The kernel gives a subvolume's path only from the top of its file system: the folders are asked
 * one by one instead, some microseconds each, where a client unpacks by mounts. */
static int number_of(const struct snapshotter *sn, const struct mount *m, uint64_t *ret)
{
	uint64_t want = 0, number;
	int found = 0;

	if (strcmp(m->type, "btrfs") != 0)
		return 0;
	for (size_t i = 0; i < m->noptions; i++)
		if (str_starts(m->options[i], "subvolid=") &&
		    num_u64(m->options[i] + strlen("subvolid="), &want) < 0)
			return 0;

	int fd = openat(sn->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		close_fd(&fd);
		return 0;
	}
	for (struct dirent *d; want && !found && (d = readdir(dir));)
		if (num_u64(d->d_name, &number) == 0 && has_id(sn, number, want)) {
			*ret = number;
			found = 1;
		}
	closedir(dir);
	return found;
}

const struct snapshotter_ops btrfs_ops = {
	.name = "btrfs",
	.whiteout = WHITEOUT_REMOVE,
	.probe = probe,
	.make = make,
	.mounts = mounts,
	.seal = seal,
	.sealed = sealed,
	.discard = discard,
	.number_of = number_of,
};
