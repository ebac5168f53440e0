#include "runtime/birth.h"

#include "base/mem.h"
#include "cgroup/stat.h"
#include "os/clone.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/socket.h"
#include "os/syscall.h"
#include "runtime/console.h"
#include "runtime/seccomp_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void birth_done(struct birth *s)
{
	siginfo_t how;

	close_fd(&s->sync);
	close_fd(&s->console_socket);
	close_fd(&s->pidfd_socket);
	close_fd(&s->console);
	close_fd(&s->tree);
	if (s->pidfd < 0)
		return;
	(void)pidfd_signal(s->pidfd, SIGKILL); /* it may have ended */
	while (waitid(P_PIDFD, (id_t)s->pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(&s->pidfd);
	*s = BIRTH_NONE;
}

void birth_take(struct birth *s, struct runtime_process *ret)
{
	*ret = (struct runtime_process){ s->pid, TAKE_FD(s->pidfd), TAKE_FD(s->console) };
}

void runtime_process_done(struct runtime_process *p)
{
	close_fd(&p->pidfd);
	close_fd(&p->console);
	*p = RUNTIME_PROCESS_NONE;
}

/* Above the caller's last descriptor are our own: the cgroup, the host's /proc.  Those of ours are
 * close-on-exec from birth, and what the caller handed down is not. */
static int check_preserved(unsigned n, struct err *e)
{
	for (unsigned i = 0; i < n; i++) {
		int flags = fcntl((int)(3 + i), F_GETFD);

		if (flags < 0 || (flags & FD_CLOEXEC))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "unable to preserve fd %u (of %u): it is not open", 3 + i,
				       n);
	}
	return 0;
}

int birth_check_console(const struct plan_process *p, const struct runtime_io *io, struct err *e)
{
	if (!p->terminal && io->console != RUNTIME_CONSOLE_NONE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot use console socket if runc will not detach or allocate tty");
	if (p->terminal && io->console == RUNTIME_CONSOLE_NONE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot allocate tty if runc will detach without setting console "
			       "socket");
	return 0;
}

int birth_prepare_io(const struct plan_process *p, const struct runtime_io *io, struct birth *s,
		     int *ret_host_ptmx, struct err *e)
{
	if (check_preserved(io->preserve_fds, e) < 0 || birth_check_console(p, io, e) < 0)
		return -1;
	if (io->pidfd_socket) {
		s->pidfd_socket = socket_connect(io->pidfd_socket);
		if (s->pidfd_socket < 0)
			return err_sys(e, -s->pidfd_socket, "dial unix %s: connect",
				       io->pidfd_socket);
	}
	if (!p->terminal)
		return 0;
	if (io->console == RUNTIME_CONSOLE_SOCKET) {
		s->console_socket = socket_connect(io->console_socket);
		if (s->console_socket < 0)
			return err_sys(e, -s->console_socket, "dial unix %s: connect",
				       io->console_socket);
	}
	*ret_host_ptmx = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*ret_host_ptmx < 0)
		return err_sys(e, errno, "open /dev/ptmx");
	return 0;
}

static int enter_pidns(int fd, struct err *e)
{
	if (fd >= 0 && setns(fd, CLONE_NEWPID) < 0)
		return err_sys(e, errno, "join the pid namespace");
	return 0;
}

bool birth_may_join_pid(void)
{
	AUTO_FD int own = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);

	return own >= 0 && setns(own, CLONE_NEWPID) == 0;
}

int birth_clone(struct birth *s, uint64_t flags, int cgroupfd, int pidns, struct err *e)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uint64_t)(uintptr_t)&s->pidfd,
		.exit_signal = SIGCHLD,
	};
	AUTO_FD int own = -1;

	if (cgroupfd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroupfd;
	}
	if (pidns >= 0) {
		own = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
		if (own < 0)
			return err_sys(e, errno, "open own pid namespace");
	}
	if (enter_pidns(pidns, e) < 0)
		return -1;
	int pid = clone_process(&args);
	if (pid < 0 && s->enters && cgroupfd >= 0) {
		args.flags &= ~(uint64_t)CLONE_INTO_CGROUP;
		pid = clone_process(&args);
	}
	s->in_cgroup = pid >= 0 && (args.flags & CLONE_INTO_CGROUP);
	if (pid == 0)
		return 0;
	if (enter_pidns(own, e) < 0)
		return -1; /* a caller that lives on must not be left in there */
	if (pid < 0)
		return err_sys(e, -pid, "clone3");
	s->pid = pid;
	return 1;
}

int birth_adopt(struct birth *s, struct err *e)
{
	siginfo_t how;
	int pidfd;
	pid_t pid;

	if (stage_recv_child(s->sync, &pid, &pidfd, e) < 0)
		return -1;
	while (waitid(P_PIDFD, (id_t)s->pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	close_fd(&s->pidfd);
	s->pidfd = pidfd;
	s->pid = pid;
	return 0;
}

int birth_take_console(enum runtime_console how, int socket, int master_take, int *console,
		       struct err *e)
{
	static const char name[] = "/dev/ptmx"; /* what runc writes; receivers need one byte */

	if (how == RUNTIME_CONSOLE_RETURN_PLAIN)
		console_make_plain(master_take);
	if (how == RUNTIME_CONSOLE_RETURN || how == RUNTIME_CONSOLE_RETURN_PLAIN) {
		close_fd(console);
		*console = master_take;
		return 0;
	}
	ssize_t r = socket < 0 ? -ENOTCONN
			       : socket_send_fds(socket, name, sizeof name - 1, &master_take, 1);
	close(master_take);
	if (r < 0)
		return err_sys(e, (int)-r, "send the terminal to the console socket");
	return 0;
}

/* We have our own fd of it before the child goes on; it waits by itself where it must. */
static int take_listener(const struct birth *s, int number, struct err *e)
{
	struct runtime_state state;

	if (!s->listener.path)
		return err_set(e, ERR_INTERNAL, "an unexpected seccomp listener");
	AUTO_FD int fd = sys_pidfd_getfd(s->pidfd, number, 0);
	if (fd < 0)
		return err_sys(e, -fd,
			       "get the seccomp listener's fd %d from the child: "
			       "pidfd_getfd",
			       number);
	state = *s->listener.state;
	if (s->listener.is_init)
		state.pid = s->pid;
	return seccomp_notify_send(s->listener.path, s->listener.metadata, &state, s->pid, fd, e);
}

static bool ran_out_of_memory(const struct cgroup *cg)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_stat st;
	struct err ignored = { 0 };

	if (!cg || cgroup_stat(cg, a, &st, &ignored) < 0)
		return false;
	return st.layout == CGROUP_V2 ? st.memory_v2.events.oom_kill : st.memory_v1.oom_kill;
}

static int say_end(const struct birth *s, struct err *e)
{
	siginfo_t how = { 0 };

	if (waitid(P_PIDFD, (id_t)s->pidfd, &how, WEXITED | WNOWAIT) < 0)
		return err_sys(e, errno, "wait for the container's init");
	if (how.si_code == CLD_KILLED && how.si_status == SIGKILL && ran_out_of_memory(s->cgroup))
		return err_set(e, ERR_UNKNOWN,
			       "container init was OOM-killed (memory limit too low?)");
	if (how.si_code != CLD_EXITED && how.si_status == SIGSYS)
		return err_set(e, ERR_UNKNOWN,
			       "container init was killed by SIGSYS: the seccomp profile kills for "
			       "a system call that is needed to start the program");
	return err_set(e, ERR_UNKNOWN, "container init %s %d before it was ready",
		       how.si_code == CLD_EXITED ? "ended with status" : "was killed by signal",
		       how.si_status);
}

int birth_next(struct birth *s, enum runtime_console console, enum stage *ret, struct err *e)
{
	for (;;) {
		int fd = -1;

		if (stage_recv(s->sync, ret, &fd, e) < 0)
			return -1;
		if (*ret == STAGE_END) {
			return say_end(s, e);
		}
		if (*ret == STAGE_SECCOMP) {
			if (take_listener(s, fd, e) < 0)
				return -1;
			continue;
		}
		if (*ret == STAGE_OWNERS) {
			close_fd(&s->tree);
			s->tree = fd;
		}
		if (*ret != STAGE_CONSOLE)
			return 0;
		if (birth_take_console(console, s->console_socket, fd, &s->console, e) < 0)
			return -1;
	}
}

/* The child's own word for its failure, if it has sent one. */
static bool hear_why(struct birth *s, struct err *ret)
{
	struct pollfd p = { .fd = s->sync, .events = POLLIN };

	while (s->sync >= 0 && poll(&p, 1, 0) > 0) {
		enum stage step;
		int fd = -1;
		int r = stage_recv(s->sync, &step, &fd, ret);

		close_fd(&fd);
		if (r < 0)
			return true;
		if (step == STAGE_END)
			break;
	}
	return false;
}

int birth_explain(struct birth *s, struct err *e)
{
	struct err why = { 0 };

	if (hear_why(s, &why)) {
		err_clear(e);
		return err_copy(e, &why);
	}
	return -1;
}

int birth_permit(struct birth *s, struct err *e)
{
	struct err gone = { 0 }, why = { 0 };

	if (stage_send(s->sync, STAGE_START, -1, &gone) == 0)
		return 0;
	if (gone.errnum != EPIPE)
		return err_copy(e, &gone);
	/* It has executed nothing yet, so it is dead, and said why or is looked at. */
	return hear_why(s, &why) ? err_copy(e, &why) : say_end(s, e);
}

int birth_started(struct birth *s, struct err *e)
{
	enum stage step;

	if (stage_recv(s->sync, &step, NULL, e) < 0)
		return -1;
	if (step != STAGE_END)
		return err_set(e, ERR_INTERNAL, "unexpected start stage %d", step);
	return 0;
}

int birth_send_pidfd(const struct birth *s, const char *kind, struct err *e)
{
	if (s->pidfd_socket < 0)
		return 0;
	ssize_t r = socket_send_fds(s->pidfd_socket, kind, strlen(kind), &s->pidfd, 1);
	if (r < 0)
		return err_sys(e, (int)-r, "send the pidfd to its socket");
	return 0;
}

int birth_write_pid_file(const char *path, pid_t pid, struct err *e)
{
	char text[16];

	if (!path)
		return 0;
	snprintf(text, sizeof text, "%d", (int)pid);
	int r = file_replace(AT_FDCWD, path, text, strlen(text), 0644, false);
	if (r < 0)
		return err_sys(e, -r, "write pid file %s", path);
	return 0;
}
