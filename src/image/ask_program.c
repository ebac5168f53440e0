#include "image/ask_program.h"

#include "base/mem.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static int64_t left_ms(uint64_t end)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return now < end ? (int64_t)((end - now) / 1000000u) + 1 : 0;
}

/* What it says, until it closes its output; what is too much is read and dropped. */
static int listen_to(int out, uint64_t end, struct str *ret)
{
	char buf[4096];

	for (;;) {
		struct pollfd p = { .fd = out, .events = POLLIN };
		int64_t ms = left_ms(end);

		if (ms == 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)ms) < 0 && errno != EINTR)
			return -errno;
		if (!p.revents)
			continue;
		ssize_t n = read(out, buf, sizeof buf);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		size_t room = ret->max - ret->len;
		if (n > 0)
			str_addn(ret, buf, (size_t)n < room ? (size_t)n : room);
	}
}

/* A file that is read from its start. */
static int input_of(const void *in, size_t n, struct err *e)
{
	AUTO_FD int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	int r = fd_write_all(fd, in, n);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, r < 0 ? -r : errno, "write input");
	return TAKE_FD(fd);
}

int program_ask(const char *path, const char *const *argv, const void *bytes, size_t n,
		uint64_t timeout, struct str *said, struct err *e)
{
	static char *const env[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
					     "/usr/bin:/sbin:/bin",
				     (char *)"HOME=/root", NULL };
	AUTO_FD int in = input_of(bytes, n, e), pidfd = -1;
	int out[2], status = 0;
	struct timespec now;
	pid_t pid;

	if (in < 0)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	const int fds[] = { in, out[1], -1 };
	const struct spawn s = { .path = path,
				 .argv = (char *const *)argv,
				 .envp = env,
				 .cwd_fd = -1,
				 .fds = fds,
				 .n_fds = 3,
				 .new_group = true };

	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t end = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + timeout;
	int r = spawn_start(&s, &pidfd, &pid);
	close(out[1]);
	if (r == 0) {
		r = listen_to(out[0], end, said);
		if (r == 0)
			r = spawn_wait(pidfd, (int)left_ms(end), &status);
		if (r < 0) {
			kill(-pid, SIGKILL); /* not reaped yet: the number is still its own */
			(void)spawn_wait(pidfd, -1, &status);
		}
	}
	close(out[0]);
	return r < 0 ? err_sys(e, -r, "%s", path) : status;
}
