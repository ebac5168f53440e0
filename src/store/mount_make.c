#include "store/mount_make.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/path.h"
#include "store/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The parent folder of path, below one of the roots; *ret_name points into path. */
static int open_parent(const char *const *roots, size_t n, const char *path, const char **ret_name,
		       struct err *e)
{
	if (strstr(path, "/../"))
		return err_set(e, ERR_INVALID_ARGUMENT, "%.300s leads upwards", path);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(roots[i]);

		if (strncmp(path, roots[i], len) != 0 || path[len] != '/')
			continue;

		AUTO_FD int root = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_sys(e, errno, "open %s", roots[i]);
		int fd = path_open_parent(root, path + len, false, ret_name);
		return fd < 0 ? err_sys(e, -fd, "open the folder of %s", path) : fd;
	}
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "%.300s is not in a folder where mounts may make something", path);
}

int mount_make_dir(const char *const *roots, size_t n, const struct mount_dir *d, struct err *e)
{
	const char *name;
	AUTO_FD int parent = open_parent(roots, n, d->path, &name, e);
	struct stat st;

	if (parent < 0)
		return -1;
	bool is_new = mkdirat(parent, name, 0700) == 0;
	if (!is_new && errno != EEXIST)
		return err_sys(e, errno, "failed to create directory \"%s\"", d->path);

	AUTO_FD int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "mkdir target \"%s\" exists and is not a directory", d->path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, errno, "failed to stat \"%s\"", d->path);
	if (!is_new && (st.st_mode & 0777) != d->mode)
		return err_set(e, ERR_UNIMPLEMENTED, "%s exists with mode %o: chmod not supported",
			       d->path, st.st_mode & 0777);
	if (is_new && (fchown(fd, d->uid, d->gid) < 0 || fchmod(fd, d->mode) < 0)) {
		(void)err_sys(e, errno, "set owner and mode of %s", d->path);
		(void)unlinkat(parent, name, AT_REMOVEDIR); /* e says what is wrong */
		return -1;
	}
	return 0;
}

static int format(int dirfd, const char *name, const struct mount_image *i, struct err *e)
{
	bool is_xfs = strcmp(i->fs, "xfs") == 0;
	AUTO_FREE char *program = xasprintf("mkfs.%s", i->fs);
	AUTO_FREE char *uuid = i->uuid ? xasprintf(is_xfs ? "uuid=%s" : "%s", i->uuid) : NULL;
	const char *argv[6] = { program, "-q" };
	size_t n = 2;

	if (uuid) {
		argv[n++] = is_xfs ? "-m" : "-U";
		argv[n++] = uuid;
	}
	argv[n++] = name;
	argv[n] = NULL;
	return run_program(dirfd, argv, e);
}

static int check(const struct mount_image *i, struct err *e)
{
	static const char *const known[] = { "ext2", "ext3", "ext4", "xfs" };
	static const char hex[] = "0123456789abcdefABCDEF-";
	bool is_known = false;

	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		is_known = is_known || strcmp(known[k], i->fs) == 0;
	if (!is_known)
		return err_set(e, ERR_INVALID_ARGUMENT, "unsupported filesystem \"%.100s\"", i->fs);
	if (i->uuid && (strlen(i->uuid) != 36 || i->uuid[strspn(i->uuid, hex)]))
		return err_set(e, ERR_INVALID_ARGUMENT, "bad option uuid: \"%.100s\"", i->uuid);
	return i->size > INT64_MAX ? err_set(e, ERR_OUT_OF_RANGE, "the image is too large") : 0;
}

static int fill(int parent, const char *temp, const char *name, const struct mount_image *i,
		struct err *e)
{
	AUTO_FD int fd =
		openat(parent, temp, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_sys(e, errno, "failed to create file \"%s\"", i->path);
	if (ftruncate(fd, (off_t)i->size) < 0)
		return err_sys(e, errno, "failed to truncate file \"%s\"", i->path);
	if (format(parent, temp, i, e) < 0)
		return err_wrap(e, "failed format \"%s\"", i->path);
	/* two at a time: the second one's is the same */
	if (renameat(parent, temp, parent, name) < 0)
		return err_sys(e, errno, "rename %s", temp);
	return 0;
}

int mount_make_image(const char *const *roots, size_t n, const struct mount_image *i, struct err *e)
{
	const char *name;
	AUTO_FD int parent = open_parent(roots, n, i->path, &name, e);
	struct stat st;

	if (parent < 0 || check(i, e) < 0)
		return -1;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) ? 0
					   : err_set(e, ERR_FAILED_PRECONDITION,
						     "mkfs backing file \"%s\" exists and is not a "
						     "regular file",
						     i->path);
	if (errno != ENOENT)
		return err_sys(e, errno, "failed to stat \"%s\"", i->path);

	/* mkfs takes a name only: the folder it is started in is an open one */
	AUTO_FD int dir = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *temp = xasprintf(".%.200s.%d.new", name, gettid());
	if (dir < 0)
		return err_sys(e, errno, "open the folder of %s", i->path);
	if (fill(dir, temp, name, i, e) < 0) {
		(void)unlinkat(dir, temp, 0); /* e says what is wrong */
		return -1;
	}
	return 0;
}
