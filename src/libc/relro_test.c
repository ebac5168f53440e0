#include "base/test.h"

#include <signal.h>
#include <sys/wait.h>

static const char *volatile target = "x";
/* A table that must be relocated, and nothing else. */
static const char *const table[] = { "a", "b" };

TEST(relocated_tables_cannot_be_written)
{
	int pid = fork(), status;

	if (pid == 0) {
		*(const char *volatile *)&table[1] = target;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
