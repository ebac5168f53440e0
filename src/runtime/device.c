#include "runtime/device.h"

#include "os/path.h"
#include "os/syscall.h"
#include "runtime/mount.h"
#include "runtime/mount_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static mode_t type_of(const struct oci_device *d)
{
	return d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
}

static bool is_device(const struct stat *st, const struct oci_device *d)
{
	if ((st->st_mode & S_IFMT) != type_of(d))
		return false;
	return d->type == 'p' || st->st_rdev == makedev((unsigned)d->major, (unsigned)d->minor);
}

/* Where nodes can't be made (a user namespace), the host's own is bound, if it is that device. */
static int bind_host_device(const struct oci_device *d, int rootfd, struct err *e)
{
	AUTO_FD int tree = mount_api_clone(AT_FDCWD, d->path, AT_SYMLINK_NOFOLLOW);
	struct stat st;

	if (tree < 0)
		return err_sys(e, -tree, "open device %s", d->path);
	if (fstat(tree, &st) < 0 || !is_device(&st, d))
		return err_set(e, ERR_FAILED_PRECONDITION, "%s is not device %c %lld:%lld", d->path,
			       d->type, (long long)d->major, (long long)d->minor);
	AUTO_FD int target = mount_open_target(rootfd, d->path, false, e);
	if (target < 0)
		return -1;
	return mount_attach(tree, target, d->path, e);
}

/* The folder of the last device: nearly all of them are in /dev. */
struct folder {
	const char *path; /* its first n bytes */
	size_t n;
	int fd;
};

static void folder_close(struct folder *f)
{
	close_fd(&f->fd);
}

/* Borrowed from f until the next call. */
static int folder_open(struct folder *f, int rootfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (f->fd >= 0 && n && n == f->n && memcmp(path, f->path, n) == 0 && slash[1]) {
		*ret_name = slash + 1;
		return f->fd;
	}
	folder_close(f);
	*f = (struct folder){ path, n, path_open_parent(rootfd, path, true, ret_name) };
	return f->fd;
}

static int make_device(const struct oci_device *d, int rootfd, struct folder *f, bool is_userns,
		       struct err *e)
{
	const char *name;
	int parent = folder_open(f, rootfd, d->path, &name);
	struct stat st;

	if (parent < 0)
		return err_sys(e, -parent, "open the folder of %s", d->path);
	if (is_userns)
		return bind_host_device(d, rootfd, e);
	if (mknodat(parent, name, type_of(d) | d->file_mode,
		    makedev((unsigned)d->major, (unsigned)d->minor)) < 0) {
		int errnum = errno;

		if (errnum == EPERM)
			return bind_host_device(d, rootfd, e);
		if (errnum != EEXIST)
			return err_sys(e, errnum, "mknod %s", d->path);
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_device(&st, d))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "%s is there already and is not device %c %lld:%lld",
				       d->path, d->type, (long long)d->major, (long long)d->minor);
		return 0;
	}
	if ((d->uid || d->gid) && fchownat(parent, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "chown %s", d->path);
	return 0;
}

/* On the folder that /dev is in the root, whatever it was called on the way. */
static int make_links(int rootfd, struct err *e)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "fd", "/proc/self/fd" },
		{ "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" },
		{ "stderr", "/proc/self/fd/2" },
	};
	AUTO_FD int dev = path_mkdirs(rootfd, "/dev", 0755);

	if (dev < 0)
		return err_sys(e, -dev, "open /dev");
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
			return err_sys(e, errno, "make link /dev/%s", links[i].name);
	if (symlinkat("pts/ptmx", dev, "ptmx") == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, errno, "make link /dev/ptmx");
	if (unlinkat(dev, "ptmx", 0) < 0 || symlinkat("pts/ptmx", dev, "ptmx") < 0)
		return err_sys(e, errno, "replace /dev/ptmx");
	return 0;
}

int device_make_all(const struct launch *l, int rootfd, struct err *e)
{
	const struct plan *p = l->plan;
	CLEANUP(folder_close) struct folder f = { .fd = -1 };

	if (!p->make_devices)
		return 0;
	for (size_t i = 0; i < p->n_devices; i++)
		if (make_device(&p->devices[i], rootfd, &f, p->all_ns & CLONE_NEWUSER, e) < 0)
			return err_wrap(e, "error creating device nodes");
	if (make_links(rootfd, e) < 0)
		return err_wrap(e, "error setting up /dev symlinks");
	return 0;
}

/* A copy of /dev/null's mount that is surely /dev/null. */
static int open_null(struct err *e)
{
	AUTO_FD int fd = mount_api_clone(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return err_sys(e, -fd, "open /dev/null as a mask");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ERR_FAILED_PRECONDITION, "/dev/null is not the null device");
	return TAKE_FD(fd);
}

/* Folders get one and the same empty read-only tmpfs: *shared is where it is attached first. */
static int mask_folder(int target, int *shared, const char *path, struct err *e)
{
	static const struct fs_param params[] = { { "size", "0k" }, { "nr_inodes", "2" } };
	AUTO_FD int tree = -1;

	if (*shared < 0) {
		tree = mount_new_fs("tmpfs", "tmpfs", params, ARRAY_LEN(params), MOUNT_ATTR_RDONLY,
				    e);
	} else {
		tree = mount_api_clone(*shared, "", AT_EMPTY_PATH);
		if (tree < 0)
			return err_sys(e, -tree, "copy the mask of folders");
	}
	if (tree < 0 || mount_attach(tree, target, path, e) < 0)
		return -1;
	if (*shared < 0)
		*shared = TAKE_FD(tree);
	return 0;
}

int mask_paths(const struct launch *l, int rootfd, struct err *e)
{
	AUTO_FD int shared = -1;

	for (size_t i = 0; i < l->plan->masked.n; i++) {
		const char *path = l->plan->masked.v[i];
		AUTO_FD int target = path_open(rootfd, path, O_PATH, 0);
		struct stat st;

		if (target == -ENOENT || target == -ENOTDIR)
			continue;
		if (target < 0)
			return err_sys(e, -target, "can't mask path \"%s\"", path);
		if (fstat(target, &st) < 0)
			return err_sys(e, errno, "can't mask path \"%s\"", path);
		if (S_ISDIR(st.st_mode)) {
			if (mask_folder(target, &shared, path, e) < 0)
				return err_wrap(e, "can't mask path \"%s\"", path);
			continue;
		}
		AUTO_FD int tree = open_null(e);
		if (tree < 0 || mount_attach(tree, target, path, e) < 0)
			return err_wrap(e, "can't mask path \"%s\"", path);
	}
	return 0;
}

int mask_make_readonly(const struct launch *l, int rootfd, struct err *e)
{
	for (size_t i = 0; i < l->plan->readonly.n; i++) {
		const char *path = l->plan->readonly.v[i];
		AUTO_FD int target = path_open(rootfd, path, O_PATH, 0);

		if (target == -ENOENT || target == -ENOTDIR)
			continue;
		if (target < 0)
			return err_sys(e, -target, "can't set %s as readonly", path);
		AUTO_FD int tree = mount_api_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
		if (tree < 0)
			return err_sys(e, -tree, "can't set %s as readonly", path);
		if (mount_set_attr(tree, MOUNT_ATTR_RDONLY, 0, true, path, e) < 0 ||
		    mount_attach(tree, target, path, e) < 0)
			return err_wrap(e, "can't set %s as readonly", path);
	}
	return 0;
}
