#include "os/clone.h"

#include "os/syscall.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

static void clear_handlers(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL }, now;

	for (int sig = 1; sig < _NSIG; sig++)
		if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL &&
		    now.sa_handler != SIG_IGN)
			(void)sigaction(sig, &dfl, NULL); /* ours to set: it was set */
}

static int clone_old(struct clone_args *args)
{
	uint64_t flags = args->flags & ~(CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP);
	bool clears = args->flags & CLONE_CLEAR_SIGHAND;
	sigset_t all, before;

	/* Above 32 bits and in the signal's byte there is no room for flags; and these go together
	 * with a stack that is the caller's. */
	if ((flags >> 32) || (flags & CSIGNAL) || args->stack)
		return -ENOSYS;
	args->flags &= ~CLONE_INTO_CGROUP;
	/* a handler of the parent's must not run in the child */
	sigfillset(&all);
	if (clears)
		sigprocmask(SIG_SETMASK, &all, &before);
	flags |= args->exit_signal;
#if defined(__s390__)
	int pid = sys_ret(syscall(SYS_clone, 0, flags, args->pidfd, 0, 0));
#else
	int pid = sys_ret(syscall(SYS_clone, flags, 0, args->pidfd, 0, 0));
#endif
	if (pid == 0 && clears)
		clear_handlers();
	if (clears)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int clone_process(struct clone_args *args)
{
	int pid = sys_clone3(args);

	/* EINVAL, E2BIG: a flag, or the cgroup field, is newer than the kernel */
	if (pid == -ENOSYS || pid == -EPERM || pid == -EINVAL || pid == -E2BIG)
		return clone_old(args);
	return pid;
}
