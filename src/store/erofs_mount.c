#include "store/erofs_mount.h"

#include "base/mem.h"
#include "os/fd.h"
#include "os/spawn.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOOP_TRIES = 64 };

/* --- making --- */

/* The last line that a program wrote. */
static void last_words(int fd, char *buf, size_t n)
{
	off_t end = lseek(fd, 0, SEEK_END);
	off_t from = end > (off_t)n - 1 ? end - (off_t)n + 1 : 0;
	ssize_t got = pread(fd, buf, n - 1, from);
	char *p;

	buf[got > 0 ? got : 0] = 0;
	for (p = buf + strlen(buf); p > buf && p[-1] == '\n';)
		*--p = 0;
	p = strrchr(buf, '\n');
	if (p)
		memmove(buf, p + 1, strlen(p + 1) + 1);
}

static int run_mkfs(int dirfd, const char *tree, const char *image, struct err *e)
{
	AUTO_FREE char *path = spawn_find("mkfs.erofs");
	AUTO_FD int words = memfd_create("mkfs.erofs", MFD_CLOEXEC);
	AUTO_FD int pidfd = -1;
	/* Times are the layer's own, whatever the inode's shape costs. */
	const char *argv[] = { "mkfs.erofs", "--quiet", "--preserve-mtime", image, tree, NULL };
	const int fds[] = { -1, words, words };
	const struct spawn sp = {
		.path = path, .argv = (char *const *)argv, .cwd_fd = dirfd, .fds = fds, .n_fds = 3
	};
	char text[200];
	pid_t pid;
	int status = 0;

	if (!path)
		return err_sys(e, errno, "find mkfs.erofs");
	int r = spawn_start(&sp, &pidfd, &pid);
	if (r == 0)
		r = spawn_wait(pidfd, -1, &status);
	if (r < 0)
		return err_sys(e, -r, "run mkfs.erofs");
	if (status == 0)
		return 0;
	last_words(words, text, sizeof text);
	return err_set(e, ERR_UNKNOWN, "mkfs.erofs: exit status %d: %s", status, text);
}

int erofs_make(int dirfd, const char *tree, const char *image, struct err *e)
{
	if (unlinkat(dirfd, image, 0) < 0 && errno != ENOENT) /* of an attempt before */
		return err_sys(e, errno, "remove %s", image);
	if (run_mkfs(dirfd, tree, image, e) < 0)
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

/* Somebody else may take the free device first. */
static int attach(int file, int control, char ret_path[32])
{
	const struct loop_config config = { .fd = (uint32_t)file,
					    .info = { .lo_flags = LO_FLAGS_READ_ONLY |
								  LO_FLAGS_AUTOCLEAR } };

	for (int i = 0; i < LOOP_TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		snprintf(ret_path, 32, "/dev/loop%d", number);

		int fd = open(ret_path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return fd;
		int why = errno;
		close(fd);
		if (why != EBUSY)
			return -why;
	}
	return -EBUSY;
}

int erofs_open_loop(int dirfd, const char *image, struct err *e)
{
	AUTO_FD int file = openat(dirfd, image, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	char path[32];

	if (file < 0 || control < 0)
		return err_sys(e, errno, "open %s", file < 0 ? image : "/dev/loop-control");

	AUTO_FD int loop = attach(file, control, path);
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
