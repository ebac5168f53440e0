#include "os/spawn.h"

#include "base/mem.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* ThreadSanitizer takes clone() for fork() and, in a child that shares our memory, turns itself off
 * for the calling thread too: then the child gets a copy, and only its stack and error are shared.
 */
#ifdef __SANITIZE_THREAD__
enum { CLONE_MEMORY = 0, MAP_STACK_KIND = MAP_SHARED };
#else
enum { CLONE_MEMORY = CLONE_VM, MAP_STACK_KIND = MAP_PRIVATE };
#endif

enum { STACK = 64 * 1024 };

struct child {
	const struct spawn *s;
	pid_t parent;
	int error; /* written by the child: it lies at the bottom of its stack */
};

/* The child leaves its stack without returning, which AddressSanitizer would take for live frames
 * when the memory is used again. */
#define CHILD_CODE __attribute__((no_sanitize("address")))

/* Puts s->fds on 0, 1, 2, …: first all out of the way, then down, so that none overwrites
 * another's source. */
CHILD_CODE static int place_fds(const struct spawn *s)
{
	int high[SPAWN_MAX_FDS];

	for (size_t i = 0; i < s->n_fds; i++) {
		int from = s->fds[i];

		if (from < 0) {
			from = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (from < 0)
				return -errno;
		}
		high[i] = fcntl(from, F_DUPFD_CLOEXEC, (int)s->n_fds);
		if (high[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < s->n_fds; i++)
		if (dup2(high[i], (int)i) < 0)
			return -errno;
	return fd_cloexec_from((unsigned)s->n_fds, -1);
}

/* Runs in the child on its own stack; only async-signal-safe calls. */
CHILD_CODE static int child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn *s = c->s;
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < _NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL); /* KILL and STOP refuse, rightly */
	c->error = -place_fds(s);
	if (!c->error && s->cwd_fd >= 0 && fchdir(s->cwd_fd) < 0)
		c->error = errno;
	if (!c->error && s->new_group && setpgid(0, 0) < 0)
		c->error = errno;
	if (!c->error && s->parent_death_signal &&
	    prctl(PR_SET_PDEATHSIG, s->parent_death_signal) < 0)
		c->error = errno;
	/* killed before that was set: nobody would end us, and nobody waits for what we make */
	if (!c->error && s->parent_death_signal && getppid() != c->parent)
		c->error = ESRCH;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (!c->error) {
		static char *const empty[] = { NULL };

		execve(s->path, s->argv, s->envp ? s->envp : empty);
		c->error = errno;
	}
	_exit(127);
}

int spawn_start(const struct spawn *s, int *ret_pidfd, pid_t *ret_pid)
{
	sigset_t all, old;
	int pidfd = -1;

	if (s->n_fds < 3 || s->n_fds > SPAWN_MAX_FDS)
		BUG("spawn with a wrong number of descriptors");

	void *stack =
		mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_STACK_KIND | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	struct child *c = stack;

	c->s = s;
	c->parent = getpid();
	/* No handler of ours may run in the child: it would act on the memory of both. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int pid = clone(child_main, (char *)stack + STACK,
			CLONE_MEMORY | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, &pidfd);
	int error = pid < 0 ? errno : c->error;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(stack, STACK);
	if (pid < 0)
		return -error;
	if (error) {
		int status;

		(void)spawn_wait(pidfd, -1, &status); /* it ended with 127 */
		close(pidfd);
		return -error;
	}
	*ret_pidfd = pidfd;
	if (ret_pid)
		*ret_pid = pid;
	return 0;
}

int spawn_wait(int pidfd, int timeout_ms, int *ret_status)
{
	siginfo_t si = { 0 };

	if (timeout_ms >= 0) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		int r;

		do
			r = poll(&p, 1, timeout_ms);
		while (r < 0 && errno == EINTR);
		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
	}
	while (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED) < 0)
		if (errno != EINTR)
			return -errno;
	*ret_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	return 0;
}

char *spawn_find(const char *name)
{
	const char *p = getenv("PATH");

	if (strchr(name, '/'))
		return xstrdup(name);
	if (!p || !*p)
		p = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	while (*p) {
		size_t n = strcspn(p, ":");

		/* An empty or relative entry would mean the folder we happen to stand in. */
		if (n && *p == '/') {
			char *path = xasprintf("%.*s/%s", (int)n, p, name);

			if (access(path, X_OK) == 0)
				return path;
			free(path);
		}
		p += n + (p[n] == ':');
	}
	errno = ENOENT;
	return NULL;
}
