#include "shim/server_fork.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/socket.h"
#include "runtime/entry.h"
#include "runtime/runtime.h"
#include "shim/actions.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTEN_FD = 3 };

/* The daemon reads from `start` until the last copy of its stdout is closed. */
static void let_go_of_std(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3 && fd >= 0; i++)
		(void)dup2(fd, i);
	close_fd(&fd);
}

/* The words of a server's command line, which are some of those that `start` has.  What is said of
 * it in /proc/PID/cmdline is what it would say had it been executed. */
static void set_title(const struct shim_args *args, char **argv, const char *self)
{
	const char *const words[] = { self,          "-namespace",
				      args->ns,      "-id",
				      args->id,      "-address",
				      args->address, args->debug ? "-debug" : NULL };
	AUTO_STR struct str title = STR_INIT(1 << 16);
	char **last = argv;

	while (last[1])
		last++;
	for (size_t i = 0; i < ARRAY_LEN(words) && words[i]; i++)
		str_addn(&title, words[i], strlen(words[i]) + 1);

	size_t room = (size_t)(*last + strlen(*last) + 1 - argv[0]);
	if (title.over || title.len > room || !&entry_set_args_end)
		return;
	memset(argv[0], 0, room);
	memcpy(argv[0], title.ptr, title.len);
	(void)entry_set_args_end(argv[0] + title.len); /* else it ends with empty words */
}

/* argv's bytes are about to change, and parts of *args are they. */
static void copy_args(struct shim_args *args)
{
	args->ns = xstrdup(args->ns);
	args->id = xstrdup(args->id);
	args->address = xstrdup(args->address);
}

static NORETURN void be_the_server(struct shim_args args, char **argv, const char *self,
				   int channel)
{
	AUTO_FREE char *own_path = xstrdup(self);
	struct err e = { 0 };
	size_t n_fds = 1;
	char byte;
	int fd;

	let_go_of_std();
	(void)setpgid(0, 0);
	copy_args(&args);
	set_title(&args, argv, own_path);
	if (runtime_protect_self((char *[]){ own_path, NULL }, &e) < 0)
		_exit(shim_fail(&e));
	runtime_release_self();
	if (socket_recv_fds(channel, &byte, sizeof byte, &fd, &n_fds) <= 0 || n_fds != 1)
		_exit(0); /* `start` failed and said why, or the group has its shim */
	if (fd != LISTEN_FD) {
		if (channel == LISTEN_FD)
			channel = fd_copy(channel);
		(void)dup2(fd, LISTEN_FD);
		close_fd(&fd);
	}
	close_fd(&channel);
	_exit(shim_serve(&args, own_path));
}

void server_fork(const struct shim_args *args, char **argv, const char *self,
		 struct server_fork *ret)
{
	int fds[2];

	*ret = (struct server_fork){ .channel = -1 };
	if (!&entry_mount || entry_mount < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return;
	pid_t pid = fork();

	if (pid == 0) {
		close_fd(&fds[0]);
		be_the_server(*args, argv, self, fds[1]);
	}
	close_fd(&fds[1]);
	if (pid < 0) {
		close_fd(&fds[0]);
		return;
	}
	*ret = (struct server_fork){ pid, fds[0] };
}

int server_fork_send(struct server_fork *f, int fd)
{
	ssize_t n = socket_send_fds(f->channel, "", 1, &fd, 1);

	if (n < 0)
		return (int)n;
	close_fd(&f->channel);
	f->channel = -1;
	return 0;
}

void server_fork_end(struct server_fork *f)
{
	if (!f->pid || f->channel < 0)
		return;
	(void)kill(f->pid, SIGKILL); /* our child */
	(void)waitpid(f->pid, NULL, 0);
	close_fd(&f->channel);
}
