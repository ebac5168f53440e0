#include "os/pidfd.h"

#include "base/num.h"
#include "os/file.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

enum { TEXT_MAX = 1 << 16, LOOK_MS = 10 };

static bool is_refused(int r)
{
	return r == -ENOSYS || r == -EPERM;
}

int pidfd_of(int procfd, pid_t pid)
{
	char name[16];
	int r = sys_pidfd_open(pid, 0);

	if (!is_refused(r))
		return r;
	snprintf(name, sizeof name, "%d", (int)pid);
	int fd = openat(procfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

static bool is_folder(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The pid from "PID (name) S …", with the state; -ESRCH when it has ended. */
static int read_folder(int fd)
{
	AUTO_FREE char *text = NULL;
	int pid;
	int r = file_read(fd, "stat", TEXT_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	char *end = strrchr(text, ')');
	if (!end || end[1] != ' ')
		return -EINVAL;
	if (end[2] == 'Z' || end[2] == 'X')
		return -ESRCH;
	text[strcspn(text, " ")] = 0;
	r = num_i32(text, &pid);
	return r < 0 ? r : pid;
}

/* "Pid:\tN" in fdinfo; -1 there: it has ended and was reaped. */
static int read_pidfd(int fd)
{
	static const char key[] = "Pid:\t";
	AUTO_FREE char *text = NULL;
	char path[48];
	int pid;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int r = file_read(AT_FDCWD, path, TEXT_MAX, &text, NULL);
	if (r < 0)
		return r;
	char *p = strstr(text, key);
	if (!p)
		return -EBADF;
	p += sizeof key - 1;
	p[strcspn(p, "\n")] = 0;
	r = num_i32(p, &pid);
	return r < 0 ? r : pid <= 0 ? -ESRCH : pid;
}

int pidfd_signal(int fd, int sig)
{
	int r = sys_pidfd_send_signal(fd, sig, NULL, 0);

	if (!is_refused(r))
		return r;
	int pid = is_folder(fd) ? read_folder(fd) : read_pidfd(fd);
	if (pid < 0)
		return pid;
	return kill(pid, sig) < 0 ? -errno : 0;
}

int pidfd_wait_end(int fd, int timeout_ms)
{
	static const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (!is_folder(fd)) {
		int n;

		do
			n = poll(&p, 1, timeout_ms);
		while (n < 0 && errno == EINTR);
		return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
	}
	for (int waited = 0;; waited += LOOK_MS) {
		int r = read_folder(fd);

		if (r == -ESRCH)
			return 0;
		if (r < 0)
			return r;
		if (waited >= timeout_ms)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL); /* a signal only makes the next look earlier */
	}
}
