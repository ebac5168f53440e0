#include "runtime/procfs.h"

#include "os/fd.h"
#include "os/syscall.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static bool is_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

int procfs_open(struct err *e)
{
	AUTO_FD int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "open /proc");
	if (!is_procfs(fd))
		return err_set(e, ERR_FAILED_PRECONDITION, "/proc is not a procfs");
	return TAKE_FD(fd);
}

/* The same by single components: none a link, none on another file system than the procfs that we
 * began with.  A folder or file of that very procfs, bound over another, is not seen here: nobody
 * but the host's root can do that to the host's /proc. */
static int open_stepwise(int procfd, const char *path, int flags)
{
	AUTO_FD int dir = fcntl(procfd, F_DUPFD_CLOEXEC, 3);
	char name[NAME_MAX + 1];
	struct stat top, st;

	if (dir < 0 || fstat(procfd, &top) < 0)
		return -errno;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || n > NAME_MAX || (n == 2 && path[0] == '.' && path[1] == '.'))
			return -EINVAL;
		snprintf(name, sizeof name, "%.*s", (int)n, path);
		path += n + (path[n] == '/');
		AUTO_FD int next = openat(
			dir, name, (*path ? O_PATH | O_DIRECTORY : flags) | O_CLOEXEC | O_NOFOLLOW);
		if (next < 0 || fstat(next, &st) < 0)
			return -errno;
		if (st.st_dev != top.st_dev)
			return -EXDEV;
		if (!*path)
			return TAKE_FD(next);
		close_fd(&dir);
		dir = TAKE_FD(next);
	}
}

int procfs_open_file(int procfd, const char *path, int flags, struct err *e)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	AUTO_FD int fd = sys_openat2(procfd, path, &how);

	if (fd == -ENOSYS || fd == -EPERM) { /* an old kernel, or an old seccomp profile's word */
		fd = open_stepwise(procfd, path, flags);
	}
	if (fd < 0)
		return err_sys(e, -fd, "open /proc/%s", path);
	if (!is_procfs(fd))
		return err_set(e, ERR_FAILED_PRECONDITION, "/proc/%s is not on procfs", path);
	return TAKE_FD(fd);
}

int procfs_write(int procfd, const char *path, const char *value, struct err *e)
{
	AUTO_FD int fd = procfs_open_file(procfd, path, O_WRONLY, e);

	if (fd < 0)
		return -1;
	if (write(fd, value, strlen(value)) < 0)
		return err_sys(e, errno, "write /proc/%s", path);
	return 0;
}
