#include "os/spawn.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>

static int shell(const char *script, const int *fds, size_t n_fds, int *pidfd)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	char *envp[] = { (char *)"A=b", NULL };
	struct spawn s = { .path = "/bin/sh",
			   .argv = argv,
			   .envp = envp,
			   .cwd_fd = -1,
			   .fds = fds,
			   .n_fds = n_fds };

	return spawn_start(&s, pidfd, NULL);
}

TEST(a_child_gets_just_its_descriptors)
{
	int p[2], status;
	char buf[128] = "";
	AUTO_FD int pidfd = -1;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	AUTO_FD int leak =
		open("/dev/null", O_RDONLY); /* not close-on-exec, as a library's may be */
	const int fds[] = { -1, p[1], -1, p[1] };
	CHECK(shell("echo $A; echo three >&3; ls /proc/self/fd | wc -l; exit 5", fds, 4, &pidfd) ==
	      0);
	close(p[1]);
	CHECK(fd_read_all(p[0], buf, sizeof buf - 1) > 0);
	CHECK_STR(buf, "b\nthree\n5\n"); /* 0 to 3, and ls's own */
	CHECK(spawn_wait(pidfd, 5000, &status) == 0 && status == 5);
	CHECK(fcntl(leak, F_GETFD) >= 0);
	close(p[0]);
}

TEST(a_signal_counts_128_more)
{
	const int fds[] = { -1, -1, -1 };
	AUTO_FD int pidfd = -1;
	int status;

	CHECK(shell("kill -9 $$", fds, 3, &pidfd) == 0);
	CHECK(spawn_wait(pidfd, -1, &status) == 0 && status == 137);
}

TEST(a_program_that_is_not_there_is_said)
{
	char *argv[] = { (char *)"x", NULL };
	const int fds[] = { -1, -1, -1 };
	struct spawn s = { .path = "/no/such", .argv = argv, .cwd_fd = -1, .fds = fds, .n_fds = 3 };
	int pidfd;

	CHECK(spawn_start(&s, &pidfd, NULL) == -ENOENT);
}

TEST(a_wait_can_end_before_the_child)
{
	AUTO_FD int pidfd = -1;
	int p[2], status;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	const int fds[] = { p[0], -1, -1 };
	CHECK(shell("read x; exit 1", fds, 3, &pidfd) == 0);
	CHECK(spawn_wait(pidfd, 10, &status) == -ETIMEDOUT);
	close(p[1]); /* end of file lets it go */
	CHECK(spawn_wait(pidfd, -1, &status) == 0 && status == 1);
	close(p[0]);
}

TEST(programs_are_found_in_path)
{
	AUTO_FREE char *sh = spawn_find("sh");

	CHECK(sh && sh[0] == '/');
	CHECK(!spawn_find("no-such-program-anywhere") && errno == ENOENT);
}
