/* abort() for programs that clone without libc's knowledge.
 *
 * musl's sends the signal to the thread id that libc remembers.  In a child of a plain clone3 that
 * is the parent's, in the child's pid namespace perhaps a stranger's. */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

void abort(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGABRT);
	(void)sigaction(SIGABRT, &dfl, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)syscall(SYS_tkill, syscall(SYS_gettid), SIGABRT);
	__builtin_trap(); /* as the first process of a pid namespace: no signal of its own ends it
			   */
}
