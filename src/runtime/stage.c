#include "runtime/stage.h"

#include "os/socket.h"
#include "os/syscall.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct message {
	enum stage step;
	int number; /* a pid with STAGE_CHILD, an fd with STAGE_SECCOMP */
	struct err why; /* only with STAGE_FAILED: others are sent without it */
};

enum { SHORT_SIZE = offsetof(struct message, why) };

int stage_pair(int ret[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(e, errno, "make the start socket");
	return 0;
}

static bool carries_fd(enum stage step)
{
	return step == STAGE_CONSOLE || step == STAGE_OWNERS;
}

int stage_send(int sock, enum stage step, int fd, struct err *e)
{
	struct message m = { .step = step };
	ssize_t r;

	do
		r = fd >= 0 ? socket_send_fds(sock, &m, SHORT_SIZE, &fd, 1)
		    : send(sock, &m, SHORT_SIZE, MSG_NOSIGNAL) < 0 ? -errno
								   : 0;
	while (r == -EINTR);
	if (r < 0)
		return err_sys(e, (int)-r, "send start stage %d", step);
	return 0;
}

void stage_send_failed(int sock, const struct err *why)
{
	struct message m = { .step = STAGE_FAILED, .why = *why };

	(void)!write(sock, &m, sizeof m); /* a parent that is gone needs no reason */
}

static ssize_t receive(int sock, struct message *m, int fds[1], size_t *ret_n_fds)
{
	*ret_n_fds = 1;
	return socket_recv_fds(sock, m, sizeof *m, fds, ret_n_fds);
}

int stage_recv(int sock, enum stage *ret, int *ret_fd, struct err *e)
{
	struct message m = { 0 };
	int fds[1] = { -1 };
	size_t n_fds;
	ssize_t n;

	do
		n = receive(sock, &m, fds, &n_fds);
	while (n == -EINTR);
	if (n == -ECONNRESET) /* it died with our message unread, which is said once and first */
		n = receive(sock, &m, fds, &n_fds);
	AUTO_FD int fd = n >= 0 && n_fds ? fds[0] : -1;
	if (n < 0)
		return err_sys(e, (int)-n, "receive a start stage");
	if (n == 0) {
		*ret = STAGE_END;
		return 0;
	}
	if (n == sizeof m && m.step == STAGE_FAILED) {
		m.why.msg[sizeof m.why.msg - 1] = 0;
		return err_copy(e, &m.why);
	}
	if (n != SHORT_SIZE || carries_fd(m.step) != (fd >= 0))
		return err_set(e, ERR_INTERNAL, "unexpected start stage %d", m.step);
	*ret = m.step;
	if (ret_fd)
		*ret_fd = m.step == STAGE_SECCOMP ? m.number : TAKE_FD(fd);
	return 0;
}

int stage_say(int sock, enum stage step, int number, struct err *e)
{
	struct message m = { .step = step, .number = number };
	ssize_t n;

	do
		n = write(sock, &m, SHORT_SIZE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "send start stage %d", step);
	return 0;
}

int stage_send_child(int sock, pid_t pid, int pidfd, struct err *e)
{
	struct message m = { .step = STAGE_CHILD, .number = pid };
	ssize_t r = socket_send_fds(sock, &m, SHORT_SIZE, &pidfd, 1);

	if (r < 0)
		return err_sys(e, (int)-r, "send start stage %d", STAGE_CHILD);
	return 0;
}

int stage_recv_child(int sock, pid_t *ret, int *ret_pidfd, struct err *e)
{
	struct message m = { 0 };
	int fds[1] = { -1 };
	size_t n_fds = 1;
	ssize_t n;

	do
		n = socket_recv_fds(sock, &m, sizeof m, fds, &n_fds);
	while (n == -EINTR);
	AUTO_FD int pidfd = n >= 0 && n_fds ? fds[0] : -1;
	if (n == sizeof m && m.step == STAGE_FAILED) {
		m.why.msg[sizeof m.why.msg - 1] = 0;
		return err_copy(e, &m.why);
	}
	if (n != SHORT_SIZE || m.step != STAGE_CHILD || m.number <= 0 || pidfd < 0)
		return err_set(e, ERR_INTERNAL, "the first child ended without a second one");
	*ret = m.number;
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

int stage_wait(int sock, enum stage step, struct err *e)
{
	enum stage got = STAGE_END;
	ssize_t n;

	do
		n = read(sock, &got, sizeof got);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "wait for start stage %d", step);
	if (n != sizeof got || got != step)
		return err_set(e, ERR_ABORTED, "start was given up");
	return 0;
}
