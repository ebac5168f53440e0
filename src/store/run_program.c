#include "store/run_program.h"

#include "base/mem.h"
#include "os/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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

int run_program(int dirfd, const char *const *argv, struct err *e)
{
	AUTO_FREE char *path = spawn_find(argv[0]);
	AUTO_FD int words = memfd_create(argv[0], MFD_CLOEXEC);
	AUTO_FD int pidfd = -1;
	const int fds[] = { -1, words, words };
	const struct spawn sp = {
		.path = path, .argv = (char *const *)argv, .cwd_fd = dirfd, .fds = fds, .n_fds = 3
	};
	char text[200];
	pid_t pid;
	int status = 0;

	if (!path)
		return err_sys(e, errno, "find %s", argv[0]);
	int r = spawn_start(&sp, &pidfd, &pid);
	if (r == 0)
		r = spawn_wait(pidfd, -1, &status);
	if (r < 0)
		return err_sys(e, -r, "run %s", argv[0]);
	if (status == 0)
		return 0;
	last_words(words, text, sizeof text);
	return err_set(e, ERR_UNKNOWN, "%s: exit status %d: %s", argv[0], status, text);
}
