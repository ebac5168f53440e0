#include "cmd/transfer/syscalls.h"

#include "base/test.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child can and cannot do, as bits of its exit code: no CHECK may fail in it unseen. */
enum { SOCKET = 1, EXEC = 2, UNSHARE = 4, PIPE = 8, LOST = 16 };

static int child(bool with_network)
{
	char *argv[] = { (char *)"true", NULL };
	struct err e = { 0 };
	int found = 0, fd, pair[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscalls_give_up(with_network, &e) < 0)
		return LOST;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	found |= fd >= 0 ? SOCKET : errno == EPERM ? 0 : LOST;
	(void)execv("/bin/true", argv);
	found |= errno == EPERM ? 0 : EXEC;
	found |= unshare(CLONE_NEWUSER) == 0 ? UNSHARE : errno == EPERM ? 0 : LOST;
	found |= pipe(pair) == 0 ? PIPE : 0;
	return found;
}

static int run(bool with_network)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(with_network));
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(offline)
{
	CHECK(run(false) == PIPE);
}

TEST(with_a_registry)
{
	CHECK(run(true) == (PIPE | SOCKET));
}
