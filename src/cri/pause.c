/* The first process of a pod: holds its namespaces, and reaps whoever is left to it where the pod's
 * containers see each other's processes.  A program of its own, without a libc: a few pages each.
 *
 * All signals are blocked, so that the kernel keeps them even for the first process of a pid
 * namespace, and taken one by one. */
#include "os/rawcall.h"

#include <signal.h>
#include <stdint.h>

enum { SET_SIZE = 8, WNOHANG_FLAG = 1 };

static long call(long nr, long a, long b, long c, long d)
{
	return raw_syscall6(nr, a, b, c, d, 0, 0);
}

void _start(void) __attribute__((noreturn, used));

void _start(void)
{
	const uint64_t all = ~0ull;

	(void)call(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, SET_SIZE);
	for (;;) {
		long sig = call(__NR_rt_sigtimedwait, (long)&all, 0, 0, SET_SIZE);

		if (sig == SIGCHLD)
			while (call(__NR_wait4, -1, 0, WNOHANG_FLAG, 0) > 0)
				;
		if (sig == SIGTERM || sig == SIGINT)
			for (;;)
				(void)call(__NR_exit_group, 0, 0, 0, 0);
	}
}
