#include "runtime/userns.h"

#include "os/clone.h"
#include "os/syscall.h"
#include "runtime/procfs.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Lives as long as our end of the pipe, so it ends with us at the latest. */
static void hold(int in, int out) NORETURN;
static void hold(int in, int out)
{
	char byte;

	close(out);
	while (read(in, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int write_maps(int procfd, pid_t pid, const char *uid_map, const char *gid_map,
		      struct err *e)
{
	char path[64];

	snprintf(path, sizeof path, "%d/uid_map", (int)pid);
	if (procfs_write(procfd, path, uid_map, e) < 0)
		return -1;
	snprintf(path, sizeof path, "%d/gid_map", (int)pid);
	if (procfs_write(procfd, path, gid_map, e) < 0)
		return -1;
	snprintf(path, sizeof path, "%d/ns/user", (int)pid);
	int fd = openat(procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the user namespace of a mount");
	return fd;
}

int userns_open(int procfd, const char *uid_map, const char *gid_map, struct err *e)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	int pipe[2], status;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make a pipe");
	int pid = clone_process(&args);
	if (pid == 0)
		hold(pipe[0], pipe[1]);
	close(pipe[0]);
	if (pid < 0) {
		close(pipe[1]);
		return err_sys(e, -pid, "make a user namespace for a mount");
	}
	int fd = write_maps(procfd, pid, uid_map, gid_map, e);
	close(pipe[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return fd;
}
