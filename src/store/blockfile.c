/* blockfile: each snapshot is a file with a file system in it, copied from its parent's (sharing
 * data where the file system below can), the first one from an empty one that the operator made.
 *
 *   ROOT/scratch   the empty one
 *   N/block        writable until it is committed; a view's is another name of its parent's
 *
 * Clients mount it over a loop device.  Here it is opened as a mount that is nowhere, which goes
 * with the last descriptor in it: on the device that has the file already, if a container runs. */
#include "store/snapshotter.h"

#include "base/num.h"
#include "base/str.h"
#include "os/file.h"
#include "os/loopdev.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define BLOCK "block"
#define SCRATCH "scratch"

static const char *type_of(const struct snapshotter *sn)
{
	return sn->opt->fs_type && *sn->opt->fs_type ? sn->opt->fs_type : "ext4";
}

/* --- copies --- */

/* Holes stay holes: most of such a file is empty. */
static int copy_data(int from, int to, off_t size)
{
	off_t data = 0, hole;

	if (ftruncate(to, size) < 0)
		return -errno;
	while (data < size && (data = lseek(from, data, SEEK_DATA)) >= 0) {
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0 || lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
			return -errno;
		while (data < hole) {
			ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)(hole - data), 0);

			if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL))
				n = sendfile(to, from, NULL, (size_t)(hole - data));
			if (n <= 0)
				return n < 0 ? -errno : -EIO; /* shorter than it was */
			data += n;
		}
	}
	return data < 0 && errno != ENXIO ? -errno : 0; /* ENXIO: a hole to the end */
}

static int copy_file(int from, int dirfd, const char *name)
{
	AUTO_FD int to =
		openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r = 0;

	if (to < 0 || fstat(from, &st) < 0)
		return -errno;
	if (ioctl(to, FICLONE, from) < 0)
		r = copy_data(from, to, st.st_size);
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	return r;
}

static int open_block(const struct snapshotter *sn, uint64_t number, int flags)
{
	char name[40];

	snprintf(name, sizeof name, "%llu/" BLOCK, (unsigned long long)number);
	int fd = openat(sn->fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_root(const struct snapshotter *sn)
{
	int fd = open(sn->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* --- the back end --- */

static int make_scratch(const struct snapshotter *sn, int root, struct err *e)
{
	const char *path = sn->opt->scratch_file;

	if (!path || !*path)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "no scratch file generator: skip plugin");

	AUTO_FD int from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return err_sys(e, errno,
			       "failed to generate scratch file: failed to copy scratch: open %s",
			       path);
	int r = copy_file(from, root, SCRATCH ".new");
	if (r == 0 && renameat(root, SCRATCH ".new", root, SCRATCH) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, -r, "failed to generate scratch file: failed to copy scratch")
		     : 0;
}

static int probe(struct snapshotter *sn, struct err *e)
{
	AUTO_FD int root = open_root(sn);

	if (root < 0)
		return err_sys(e, -root, "open %s", sn->root);
	if (!sn->opt->recreate_scratch && faccessat(root, SCRATCH, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return make_scratch(sn, root, e);
}

static int mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		  struct mounts *ret, struct err *e UNUSED)
{
	size_t n = sn->opt->n_mount_options;
	const char **options = arena_array(a, n + 2, sizeof *options);

	if (n)
		memcpy(options, sn->opt->mount_options, n * sizeof *options);
	else
		options[n++] = "loop";
	options[n++] = l->kind == SNAPSHOT_VIEW ? "ro" : "rw";
	mounts_set(a, ret, type_of(sn),
		   arena_printf(a, "%s/%llu/" BLOCK, sn->path, (unsigned long long)l->number),
		   options, n);
	return 0;
}

/* --- opening --- */

struct view {
	const struct snapshotter *sn;
	const char *device;
	bool is_readonly; /* of the file system; what is given out is the tree's own */
};

/* What is left of the operator's options: the tree is for us alone. */
static int set_options(int fs, const struct snapshotter *sn)
{
	static const char *const not_here[] = { "loop",  "direct-io", "ro",
						"rw",    "noatime",   "relatime",
						"nodev", "nosuid",    "noexec" };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sn->opt->n_mount_options; i++) {
		const char *o = sn->opt->mount_options[i], *equals = strchr(o, '=');
		AUTO_FREE char *key = xstrndup(o, strcspn(o, "="));
		bool skip = false;

		for (size_t k = 0; k < ARRAY_LEN(not_here); k++)
			skip |= !strcmp(o, not_here[k]);
		if (!skip && equals)
			r = sys_fsconfig(fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
		else if (!skip)
			r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
	}
	return r;
}

static int mount_device(const struct view *v, bool is_readonly)
{
	AUTO_FD int fs = sys_fsopen(type_of(v->sn), FSOPEN_CLOEXEC);
	int r = fs;

	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", v->device, 0);
	if (r >= 0)
		r = set_options(fs, v->sn);
	if (r >= 0 && v->is_readonly)
		r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	return r < 0 ? r : sys_fsmount(fs, FSMOUNT_CLOEXEC, is_readonly ? MOUNT_ATTR_RDONLY : 0);
}

/* A file system that was not unmounted repairs itself first, which needs a device to write to. */
static int mount_block(const struct snapshotter *sn, int file, bool is_readonly,
		       bool is_device_readonly)
{
	const struct loopdev_wish w = { .is_readonly = is_device_readonly };
	char path[LOOPDEV_PATH];
	AUTO_FD int loop = loopdev_share(file, &w, path);
	struct view v = { sn, path, is_device_readonly };

	if (loop < 0)
		return loop;
	int r = mount_device(&v, is_readonly);
	if (r == -EBUSY) { /* mounted the other way */
		v.is_readonly = !v.is_readonly;
		r = mount_device(&v, is_readonly);
	}
	return r;
}

static int open_fs(const struct snapshotter *sn, uint64_t number, struct err *e)
{
	AUTO_FD int file = open_block(sn, number, O_RDWR);
	struct stat st;

	if (file < 0)
		return err_sys(e, -file, "open snapshot file %llu/" BLOCK,
			       (unsigned long long)number);
	if (fstat(file, &st) < 0)
		return err_sys(e, errno, "stat " BLOCK);

	bool is_committed = !(st.st_mode & S_IWUSR);
	AUTO_FD int tree = mount_block(sn, file, is_committed, is_committed);

	if (tree == -EROFS)
		tree = mount_block(sn, file, true, false);
	if (tree < 0)
		return err_sys(e, -tree, "mount snapshot file %llu/" BLOCK,
			       (unsigned long long)number);

	int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open the file system of snapshot %llu",
				(unsigned long long)number)
		      : fd;
}

/* A view is its parent under another name.  Opened once, since what was not unmounted must be
 * repaired before a client can mount it to read only. */
static int make_view(const struct snapshotter *sn, int dirfd, uint64_t parent, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%llu/" BLOCK, (unsigned long long)parent);
	AUTO_FD int fd = open_fs(sn, parent, e);

	if (fd < 0)
		return -1;
	return linkat(sn->fd, path, dirfd, BLOCK, 0) < 0
		       ? err_sys(e, errno, "link of parent failed")
		       : 0;
}

static int make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e)
{
	if (l->nparents && l->kind == SNAPSHOT_VIEW)
		return make_view(sn, dirfd, l->parents[0], e);

	AUTO_FD int root = open_root(sn);
	AUTO_FD int from = l->nparents ? open_block(sn, l->parents[0], O_RDONLY)
				       : openat(root, SCRATCH, O_RDONLY | O_CLOEXEC);
	const char *what = l->nparents ? "parent" : "scratch";

	if (from < 0)
		return err_sys(e, l->nparents ? -from : errno, "copying of %s failed", what);
	int r = copy_file(from, dirfd, BLOCK);
	return r < 0 ? err_sys(e, -r, "copying of %s failed", what) : 0;
}

/* The file's name is on the disk, too, before a record is; what is in it follows by the caller's
 * sync. */
static int seal(const struct snapshotter *sn, const struct layers *l,
		struct snapshot_usage *usage UNUSED, struct err *e)
{
	AUTO_FREE char *name = xasprintf("%llu", (unsigned long long)l->number);
	int r = file_fsync_dir(sn->fd, name);

	if (r == 0)
		r = file_fsync_dir(sn->fd, ".");
	return r < 0 ? err_sys(e, -r, "sync snapshot directory") : 0;
}

static void sealed(const struct snapshotter *sn, const struct layers *l)
{
	AUTO_FD int file = open_block(sn, l->number, O_RDONLY);

	if (file >= 0)
		(void)fchmod(file, 0400); /* else it is opened as a writable one, and not written */
}

static int number_of(const struct snapshotter *sn, const struct mount *m, uint64_t *ret)
{
	size_t n = strlen(sn->path);

	if (strncmp(m->source, sn->path, n) != 0 || m->source[n] != '/' ||
	    !str_ends(m->source, "/" BLOCK))
		return 0;
	AUTO_FREE char *number =
		xstrndup(m->source + n + 1, strlen(m->source) - n - 1 - strlen("/" BLOCK));

	return num_u64(number, ret) == 0;
}

const struct snapshotter_ops blockfile_ops = {
	.name = "blockfile",
	.whiteout = WHITEOUT_REMOVE,
	.probe = probe,
	.make = make,
	.mounts = mounts,
	.open = open_fs,
	.seal = seal,
	.sealed = sealed,
	.number_of = number_of,
};
