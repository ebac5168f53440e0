#include "shim/pump.h"

#include "base/mem.h"
#include "loop/loop.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

/* A stream that has moved BUSY bytes gets larger pipes: fewer changes between three processes. */
enum { CHUNK = 4096, SPLICE = 1 << 20, ROUNDS = 16, BUSY = 1 << 20, LARGE = 1 << 20 };

struct pump {
	struct loop *loop;
	int from, to;
	/* At most one is set: what the next step waits for.  A descriptor that is not waited for
	 * is not in the loop at all, since epoll reports a hang-up whatever was asked. */
	struct loop_io *from_io, *to_io;
	bool can_splice;
	char *left; /* read, and not yet written */
	size_t left_at, left_len;
	struct pump_tee tee; /* sink NULL: none */
	struct loop_timer *start; /* the fallback for descriptors that cannot be waited for */
	struct loop_timer *patience; /* while nobody takes anything */
	size_t moved; /* up to BUSY */
	pump_fn *fn;
	void *arg;
};

enum step { STEP_FROM, STEP_TO, STEP_MORE, STEP_END };

static void run(struct pump *p);

static bool can_write(int fd)
{
	struct pollfd pf = { .fd = fd, .events = POLLOUT };

	return poll(&pf, 1, 0) == 1;
}

static void note_moved(struct pump *p, size_t n)
{
	loop_timer_remove(p->patience);
	p->patience = NULL;
	if (p->moved >= BUSY)
		return;
	p->moved += n;
	if (p->moved < BUSY)
		return;
	/* refused to a user with many pipes, and to what is no pipe: it goes on as it is */
	(void)fcntl(p->from, F_SETPIPE_SZ, LARGE);
	(void)fcntl(p->to, F_SETPIPE_SZ, LARGE);
}

static enum step splice_step(struct pump *p)
{
	ssize_t n = splice(p->from, NULL, p->to, NULL, SPLICE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n > 0)
		note_moved(p, (size_t)n);
	if (n > 0 || (n < 0 && errno == EINTR))
		return STEP_MORE;
	if (n == 0)
		return STEP_END;
	if (errno == EAGAIN)
		return can_write(p->to) ? STEP_FROM : STEP_TO;
	if (errno == EINVAL) { /* a terminal, or a file opened for appending */
		p->can_splice = false;
		return STEP_MORE;
	}
	/* EPIPE: nobody takes it, for now, or any more */
	p->can_splice = false;
	return p->tee.keep ? STEP_MORE : STEP_END;
}

static void drop_left(struct pump *p)
{
	free(p->left);
	p->left = NULL;
}

/* The fifo is full: is anybody but us there to read it? */
static bool let_go(struct pump *p)
{
	if (!p->tee.keep || *p->tee.keep < 0)
		return false;
	close_fd(p->tee.keep);
	*p->tee.keep = -1;
	return true;
}

/* Bytes that a full disk refuses are lost; the process must not stand still for that. */
static enum step write_out(struct pump *p, const char *bytes, size_t n)
{
	while (n && p->to >= 0) {
		ssize_t w = write(p->to, bytes, n);

		if (w < 0 && (errno == EINTR || (errno == EAGAIN && p->tee.sink && let_go(p))))
			continue;
		if (w < 0 && errno == EAGAIN) {
			char *left = xmemdup(bytes, n);

			free(p->left);
			p->left = left;
			p->left_at = 0;
			p->left_len = n;
			return STEP_TO;
		}
		if (w < 0 && (p->tee.sink || (p->tee.keep && errno == EPIPE)))
			break; /* nobody reads; a log has it, or it is lost */
		if (w < 0)
			return errno == EPIPE || errno == EIO || errno == EBADF ? STEP_END
										: STEP_MORE;
		note_moved(p, (size_t)w);
		bytes += w;
		n -= (size_t)w;
	}
	drop_left(p);
	return STEP_MORE;
}

static enum step copy_step(struct pump *p)
{
	char buf[CHUNK];

	if (p->left)
		return write_out(p, p->left + p->left_at, p->left_len);

	ssize_t n = read(p->from, buf, sizeof buf);

	if (n < 0 && errno == EINTR)
		return STEP_MORE;
	if (n < 0 && errno == EAGAIN)
		return STEP_FROM;
	if (n <= 0)
		return STEP_END; /* EIO: the last one has closed the terminal */
	if (p->tee.sink)
		p->tee.sink(buf, (size_t)n, p->tee.arg);
	return write_out(p, buf, (size_t)n);
}

static void on_from(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	run(arg);
}

static void on_to(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct pump *p = arg;

	loop_io_remove(p->to_io);
	p->to_io = NULL;
	run(p);
}

static void on_again(UNUSED struct loop_timer *t, void *arg)
{
	run(arg);
}

static void run_soon(struct pump *p)
{
	if (p->start)
		loop_timer_set(p->start, 0);
	else
		p->start = loop_timer_add(p->loop, 0, on_again, p);
}

/* Is there a reader who is slow, or has he gone?  Closing our own makes the next step find out. */
static void on_patience(struct loop_timer *t, void *arg)
{
	struct pump *p = arg;

	loop_timer_remove(t);
	p->patience = NULL;
	if (let_go(p))
		run(p);
}

static void release(struct pump *p)
{
	loop_timer_remove(p->patience);
	p->patience = NULL;
	loop_io_remove(p->from_io);
	loop_io_remove(p->to_io);
	p->from_io = p->to_io = NULL;
	loop_timer_remove(p->start);
	p->start = NULL;
	close_fd(&p->from);
	close_fd(&p->to);
	p->from = p->to = -1;
	drop_left(p);
}

static void run(struct pump *p)
{
	enum step s = STEP_MORE;

	for (int i = 0; i < ROUNDS && s == STEP_MORE; i++)
		s = p->can_splice && !p->left ? splice_step(p) : copy_step(p);
	if (s == STEP_END) {
		release(p);
		p->fn(p->arg);
		return;
	}
	if (s == STEP_TO) {
		loop_io_remove(p->from_io);
		p->from_io = NULL;
		if (!p->tee.sink && p->tee.keep && *p->tee.keep >= 0 && !p->patience)
			p->patience = loop_timer_add(p->loop, p->tee.patience, on_patience, p);
		if (p->to_io)
			return;
		if (loop_io_add(p->loop, p->to, EPOLLOUT, on_to, p, &p->to_io) < 0)
			run_soon(p);
		return;
	}
	/* A regular file cannot be waited for; it is always ready. */
	if (!p->from_io && loop_io_add(p->loop, p->from, EPOLLIN, on_from, p, &p->from_io) < 0)
		run_soon(p);
}

struct pump *pump_new_tee(struct loop *l, int from, int to, const struct pump_tee *tee, pump_fn *fn,
			  void *arg)
{
	struct pump *p = NEW(struct pump);

	*p = (struct pump){ .loop = l,
			    .from = from,
			    .to = to,
			    .can_splice = !tee || !tee->sink,
			    .fn = fn,
			    .arg = arg };
	if (tee)
		p->tee = *tee;
	(void)fd_set_nonblock(from, true);
	if (to >= 0)
		(void)fd_set_nonblock(to, true);
	run_soon(p); /* never from inside: the caller has yet to store us */
	return p;
}

struct pump *pump_new(struct loop *l, int from, int to, pump_fn *fn, void *arg)
{
	return pump_new_tee(l, from, to, NULL, fn, arg);
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	release(p);
	free(p);
}
