#include "cmd/ctr/task_io.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

enum { BUFFER = 32 << 10, RETRY_MS = 10, IDLE_MS = 1000, PENDING = 8 };

enum { FD_GRPC, FD_STDIN, FD_IN, FD_OUT, FD_ERR, FD_SIGNAL, FD_COUNT };

struct session {
	struct task_io *io;
	struct grpc_stream *wait;
	struct grpc_stream *pending[PENDING]; /* calls whose answers do not matter */
	int sigfd, signal;
	bool stdin_end, exited;
	bool in_end; /* nothing goes to the process any more */
	uint32_t status;
	unsigned char buf[BUFFER]; /* from our input, not yet taken */
	size_t buf_off, buf_len;
};

/* What stops a session with a terminal, and what is passed on without one.  Job control stays
 * with the shell. */
static const int stop_signals[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT };
static const int passed_signals[] = { SIGHUP,  SIGINT,  SIGTERM,  SIGQUIT, SIGUSR1,
				      SIGUSR2, SIGALRM, SIGWINCH, SIGURG,  SIGIO };

static int open_signals(struct session *s, sigset_t *before, struct err *e)
{
	bool tty = s->io->terminal;
	const int *list = tty ? stop_signals : passed_signals;
	size_t n = tty ? ARRAY_LEN(stop_signals) : ARRAY_LEN(passed_signals);
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, list[i]);
	if (tty)
		sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, before);
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->sigfd < 0)
		return err_sys(e, errno, "signalfd");
	return 0;
}

/* A call that nobody waits for. */
static void send_and_forget(struct session *s, const char *method, const void *req)
{
	struct err e = { 0 };

	for (size_t i = 0; i < PENDING; i++)
		if (!s->pending[i]) {
			(void)ctr_open(s->io->ctr, method, req,
				       &google__protobuf__empty__descriptor, &s->pending[i], &e);
			return;
		}
}

static void reap_pending(struct session *s)
{
	for (size_t i = 0; i < PENDING; i++)
		if (s->pending[i] && grpc_stream_ready(s->pending[i])) {
			grpc_stream_free(s->pending[i]);
			s->pending[i] = NULL;
		}
}

static void on_signal(struct session *s)
{
	TASKS(KillRequest) kill = TASKS_INIT(KILL_REQUEST);
	struct signalfd_siginfo si;

	while (read(s->sigfd, &si, sizeof si) == sizeof si) {
		if (s->io->terminal && si.ssi_signo == SIGWINCH) {
			terminal_resize(s->io);
		} else if (s->io->terminal) {
			s->signal = (int)si.ssi_signo;
		} else {
			kill.container_id = PB(s->io->id);
			kill.exec_id = PB(s->io->exec_id);
			kill.signal = si.ssi_signo;
			send_and_forget(s, "tasks.v1.Tasks/Kill", &kill);
		}
	}
}

/* The writing end opens only when the shim has opened its own: until then, try again. */
static void open_input(struct session *s)
{
	struct task_io *io = s->io;

	if (io->in_fd >= 0 || s->in_end)
		return;
	io->in_fd = open(io->in, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static void end_input(struct session *s)
{
	TASKS(CloseIORequest) req = TASKS_INIT(CLOSE_IOREQUEST);
	struct task_io *io = s->io;

	close_fd(&io->in_fd);
	io->in_fd = -1;
	s->in_end = true;
	if (!io->close_on_eof)
		return;
	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	req.stdin = true;
	send_and_forget(s, "tasks.v1.Tasks/CloseIO", &req);
}

static void flush_input(struct session *s)
{
	ssize_t n;

	if (s->buf_len && s->io->in_fd >= 0) {
		n = write(s->io->in_fd, s->buf + s->buf_off, s->buf_len);
		if (n > 0) {
			s->buf_off += (size_t)n;
			s->buf_len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			s->buf_len = 0; /* the reader is gone, and the process with it soon */
			s->stdin_end = true;
		}
	}
	if (s->stdin_end && !s->buf_len && !s->in_end && s->io->in_fd >= 0)
		end_input(s);
}

static void read_input(struct session *s)
{
	ssize_t n = read(STDIN_FILENO, s->buf, sizeof s->buf);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	s->buf_off = 0;
	s->buf_len = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		s->stdin_end = true;
}

/* From pipe to pipe, without a copy here.  false: not between these two, or not any more. */
static bool splice_output(int from, int to)
{
	for (;;) {
		ssize_t n = splice(from, NULL, to, NULL, 1 << 20, SPLICE_F_NONBLOCK);
		struct pollfd full = { .fd = to, .events = POLLOUT };
		int waiting = 0;

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n == 0 || errno != EAGAIN)
			return false;
		if (ioctl(from, FIONREAD, &waiting) < 0 || !waiting)
			return true;
		(void)poll(&full, 1, -1); /* any error is the next round's to find */
	}
}

/* Everything that is there now.  An output of ours that nobody reads any more swallows the rest,
 * so that the process is not held up. */
static void copy_output(int *from, int to)
{
	unsigned char buf[BUFFER];
	ssize_t n;

	if (splice_output(*from, to))
		return;
	while ((n = read(*from, buf, sizeof buf)) > 0)
		(void)fd_write_all(to, buf, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_fd(from);
	*from = -1;
}

static int on_wait(struct session *s, struct err *e)
{
	TASKS(WaitResponse) * rsp;
	int r;

	if (s->exited || !grpc_stream_ready(s->wait))
		return 0;
	r = grpc_stream_recv(s->wait, s->io->ctr->arena, (void **)&rsp, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(e, ERR_INTERNAL, "the daemon ended the wait for %s without a status",
			       s->io->id);
	s->exited = true;
	s->status = rsp->exit_status;
	return 0;
}

static void set_fds(const struct session *s, struct pollfd fds[FD_COUNT])
{
	const struct task_io *io = s->io;
	bool reads = !s->stdin_end && !s->buf_len && !s->exited && !s->in_end;

	fds[FD_GRPC] = (struct pollfd){ grpc_fd(io->ctr->client), grpc_events(io->ctr->client), 0 };
	fds[FD_STDIN] = (struct pollfd){ reads ? STDIN_FILENO : -1, POLLIN, 0 };
	fds[FD_IN] = (struct pollfd){ s->buf_len ? io->in_fd : -1, POLLOUT, 0 };
	fds[FD_OUT] = (struct pollfd){ io->out_fd, POLLIN, 0 };
	fds[FD_ERR] = (struct pollfd){ io->err_fd, POLLIN, 0 };
	fds[FD_SIGNAL] = (struct pollfd){ s->sigfd, POLLIN, 0 };
}

static int step(struct session *s, struct err *e)
{
	struct pollfd fds[FD_COUNT];
	struct task_io *io = s->io;
	bool opening;

	open_input(s);
	flush_input(s);
	set_fds(s, fds);
	opening = !s->in_end && io->in_fd < 0 && !s->exited;
	if (poll(fds, FD_COUNT, opening ? RETRY_MS : IDLE_MS) < 0) {
		if (errno == EINTR)
			return 0;
		return err_sys(e, errno, "poll");
	}
	if (fds[FD_SIGNAL].revents)
		on_signal(s);
	if (fds[FD_OUT].revents)
		copy_output(&io->out_fd, STDOUT_FILENO);
	if (fds[FD_ERR].revents)
		copy_output(&io->err_fd, STDERR_FILENO);
	if (fds[FD_STDIN].revents)
		read_input(s);
	if (grpc_pump(io->ctr->client, e) < 0)
		return -1;
	reap_pending(s);
	return on_wait(s, e);
}

static int run(struct session *s, struct err *e)
{
	/* the reply may have come while another call was waited for */
	if (grpc_pump(s->io->ctr->client, e) < 0 || on_wait(s, e) < 0)
		return -1;
	while (!s->exited || s->io->out_fd >= 0 || s->io->err_fd >= 0) {
		if (s->signal)
			return 0;
		if (step(s, e) < 0)
			return -1;
	}
	return 0;
}

int task_io_run(struct task_io *io, struct grpc_stream *wait, uint32_t *ret, int *ret_signal,
		struct err *e)
{
	struct session *s = NEW(struct session);
	sigset_t before;
	int r;

	s->io = io;
	s->in_end = !*io->in;
	s->wait = wait;
	r = open_signals(s, &before, e);
	if (r == 0)
		r = run(s, e);
	*ret = s->status;
	*ret_signal = s->signal;
	for (size_t i = 0; i < PENDING; i++)
		grpc_stream_free(s->pending[i]);
	close_fd(&s->sigfd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(s);
	return r;
}

int task_wait_open(struct task_io *io, struct grpc_stream **ret, struct err *e)
{
	TASKS(WaitRequest) req = TASKS_INIT(WAIT_REQUEST);

	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	return ctr_open(io->ctr, "tasks.v1.Tasks/Wait", &req,
			&containerd__services__tasks__v1__wait_response__descriptor, ret, e);
}
