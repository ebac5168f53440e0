#include "os/fd.h"

#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>

int fd_copy(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return r < 0 ? -errno : r;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return -errno;
	int want = on ? flags | flag : flags & ~flag;
	if (want != flags && fcntl(fd, set, want) < 0)
		return -errno;
	return 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_fill_std(void)
{
	int fd;

	if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0)
		return 0;
	/* open takes the lowest free number, so 0, 1 and 2 are filled before 3 is seen */
	do {
		fd = open("/dev/null", O_RDWR); /* not close-on-exec: std streams are inherited */
		if (fd < 0)
			return -errno;
	} while (fd <= 2);
	close(fd);
	return 0;
}

enum { NUMBERS_MAX = 1 << 20 }; /* the kernel's fs.nr_open, unless somebody raised it */

/* "17" and nothing else; -1: not a descriptor's name. */
static int number_of(const char *name)
{
	int n = 0;

	for (const char *p = name; *p; p++) {
		if (*p < '0' || *p > '9' || n > NUMBERS_MAX)
			return -1;
		n = n * 10 + (*p - '0');
	}
	return *name ? n : -1;
}

static void drop(int fd, const int *keep, size_t n_keep, bool closes)
{
	for (size_t i = 0; i < n_keep; i++)
		if (keep[i] == fd)
			return;
	if (closes)
		close(fd);
	else
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* it may not be open */
}

/* By what is open.  readdir would take memory: this runs in children that share their parent's. */
static int each_listed(unsigned first, const int *keep, size_t n_keep, bool closes, int procfd)
{
	struct entry {
		uint64_t ino, off;
		unsigned short len;
		unsigned char type;
		char name[];
	};
	_Alignas(struct entry) char buf[2048];
	AUTO_FD int dir =
		openat(procfd >= 0 ? procfd : AT_FDCWD, procfd >= 0 ? "self/fd" : "/proc/self/fd",
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	long n;

	if (dir < 0 || fstatfs(dir, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -EXDEV;
	while ((n = syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0)
		for (long at = 0; at < n;) {
			const struct entry *d = (const void *)(buf + at);
			int fd = number_of(d->name);

			at += d->len;
			if (fd >= (int)first && fd != dir)
				drop(fd, keep, n_keep, closes);
		}
	return n < 0 ? -errno : 0;
}

int fd_cloexec_from(unsigned first, int procfd)
{
	int r = sys_close_range(first, ~0U, CLOSE_RANGE_CLOEXEC);

	/* EINVAL: 5.9 and 5.10 have the call, but only to close */
	if (r != -ENOSYS && r != -EPERM && r != -EINVAL)
		return r;
	if (each_listed(first, NULL, 0, false, procfd) == 0)
		return 0;
	for (unsigned fd = first; fd < NUMBERS_MAX; fd++)
		drop((int)fd, NULL, 0, false);
	return 0;
}

int fd_close_from(unsigned first, const int *keep, size_t n_keep, int procfd)
{
	unsigned from = first;
	int r = 0;

	for (size_t i = 0; i < n_keep && r >= 0; i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			r = sys_close_range(from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	if (r >= 0)
		r = sys_close_range(from, ~0U, 0);
	if (r != -ENOSYS && r != -EPERM)
		return r;
	if (each_listed(first, keep, n_keep, true, procfd) == 0)
		return 0;
	for (unsigned fd = first; fd < NUMBERS_MAX; fd++)
		drop((int)fd, keep, n_keep, true);
	return 0;
}

ssize_t fd_read_all(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = read(fd, (char *)buf + done, n - done);

		if (r == 0)
			break;
		if (r > 0)
			done += (size_t)r;
		else if (errno != EINTR)
			return -errno;
	}
	return (ssize_t)done;
}

int fd_write_all(int fd, const void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = write(fd, (const char *)buf + done, n - done);

		if (r >= 0)
			done += (size_t)r;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}
