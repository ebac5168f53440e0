/* The old ways of clone.h, pidfd.h and fd.h, each in a child of ours that a filter took the new
 * ones from.  No rights are needed for a filter after no_new_privs. */
#include "base/test.h"
#include "os/clone.h"
#include "os/fd.h"
#include "os/pidfd.h"
#include "os/syscall.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

static bool forbid(const int *calls, unsigned char n, unsigned errnum)
{
	struct sock_filter code[16] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0) };
	struct sock_fprog prog = { .len = (unsigned short)(n + 3), .filter = code };

	for (unsigned char i = 0; i < n; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned)calls[i], n - i, 0);
	code[n + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* Runs fn in a child without the calls, for both answers: all must say true. */
static bool works_without(const int *calls, unsigned char n, bool (*fn)(void))
{
	static const unsigned answers[] = { ENOSYS, EPERM };

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(forbid(calls, n, answers[i]) && fn() ? 0 : 1);
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return false;
	}
	return true;
}

static void on_signal(int sig)
{
	(void)sig;
	_exit(9); /* must not run in the child */
}

static bool clones(void)
{
	int pidfd = -1, status;
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = 1000, /* not an fd: clone(2) must not look at it */
	};

	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, SIG_IGN);
	int pid = clone_process(&args);
	if (pid == 0) {
		struct sigaction one, two;

		sigaction(SIGUSR1, NULL, &one);
		sigaction(SIGUSR2, NULL, &two);
		_exit(one.sa_handler == SIG_DFL && two.sa_handler == SIG_IGN ? 3 : 4);
	}
	return pid > 0 && pidfd >= 0 && !(args.flags & CLONE_INTO_CGROUP) &&
	       pidfd_wait_end(pidfd, 5000) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

TEST(clone_does_what_clone3_would)
{
	static const int calls[] = { SYS_clone3 };
	struct clone_args args = { .flags = CLONE_NEWTIME, .exit_signal = SIGCHLD };

	CHECK(works_without(calls, 1, clones));
	args.flags = 1ULL << 60; /* a flag that no kernel has, nor clone(2) a bit for */
	CHECK(clone_process(&args) == -ENOSYS);
}

static bool handles(void)
{
	AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY);
	int status;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	AUTO_FD int fd = pidfd_of(proc, pid);
	bool lived = fd >= 0 && pidfd_wait_end(fd, 0) == -ETIMEDOUT && pidfd_signal(fd, 0) == 0;
	bool ended = pidfd_signal(fd, SIGTERM) == 0 && pidfd_wait_end(fd, 5000) == 0;
	bool zombie = pidfd_wait_end(fd, 0) == 0;

	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return false;
	return lived && ended && zombie && pidfd_signal(fd, SIGTERM) == -ESRCH &&
	       pidfd_wait_end(fd, 0) == 0 && pidfd_of(proc, pid) == -ESRCH;
}

TEST(a_handle_is_one_process_only)
{
	static const int open_only[] = { SYS_pidfd_open },
			 signal_only[] = { SYS_pidfd_send_signal },
			 both[] = { SYS_pidfd_open, SYS_pidfd_send_signal };

	CHECK(handles());
	CHECK(works_without(open_only, 1, handles));
	CHECK(works_without(signal_only, 1, handles));
	CHECK(works_without(both, 2, handles));
}

static bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

static bool closes(void)
{
	static const int proc_too[] = { SYS_getdents64 };
	int low = open("/dev/null", O_RDONLY), high = fcntl(low, F_DUPFD, 700);
	bool ok = low >= 3 && high >= 700 && fd_cloexec_from((unsigned)low + 1, -1) == 0 &&
		  !is_cloexec(low) && is_cloexec(high) && !is_cloexec(2);

	if (!ok || fcntl(high, F_SETFD, 0) < 0)
		return false;
	/* and where /proc can't be read */
	return forbid(proc_too, 1, ENOSYS) && fd_cloexec_from(700, -1) == 0 && is_cloexec(high) &&
	       !is_cloexec(low);
}

TEST(descriptors_close_without_close_range)
{
	static const int calls[] = { SYS_close_range };

	CHECK(works_without(calls, 1, closes));
}
