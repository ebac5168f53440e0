#include "store/erofs_mount.h"

#include "base/mem.h"
#include "os/fd.h"
#include "os/loopdev.h"
#include "os/syscall.h"
#include "store/run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- making --- */

int erofs_make(int dirfd, const char *tree, const char *image, struct err *e)
{
	if (unlinkat(dirfd, image, 0) < 0 && errno != ENOENT) /* of an attempt before */
		return err_sys(e, errno, "remove %s", image);
	/* Times are the layer's own, whatever the inode's shape costs. */
	const char *argv[] = { "mkfs.erofs", "--quiet", "--preserve-mtime", image, tree, NULL };

	if (run_program(dirfd, argv, e) < 0)
		return -1;

	AUTO_FD int fd = openat(dirfd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? err_sys(e, errno, "sync %s", image) : 0;
}

/* --- mounting --- */

static int mount_source(const char *source)
{
	AUTO_FD int fs = sys_fsopen("erofs", FSOPEN_CLOEXEC);
	int r = fs;

	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	return r < 0 ? r : sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
}

int erofs_open_loop(int dirfd, const char *image, struct err *e)
{
	AUTO_FD int file = openat(dirfd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char path[LOOPDEV_PATH];

	if (file < 0)
		return err_sys(e, errno, "open %s", image);

	AUTO_FD int loop = loopdev_attach(file, true, NULL, path);
	if (loop < 0)
		return err_sys(e, -loop, "attach a loop device to %s", image);

	int r = mount_source(path);
	return r < 0 ? err_sys(e, -r, "mount erofs %s", path) : r;
}

int erofs_open(int dirfd, const char *image, struct err *e)
{
	AUTO_FD int file = openat(dirfd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char path[32];

	if (file < 0)
		return err_sys(e, errno, "open %s", image);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);

	int r = mount_source(path);
	if (r == -ENOTBLK)
		return erofs_open_loop(dirfd, image, e);
	return r < 0 ? err_sys(e, -r, "mount erofs %s", image) : r;
}
