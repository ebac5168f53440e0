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
