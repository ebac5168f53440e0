#include "nri/mux.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "os/fd.h"
#include "wire/ttrpc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* CHUNK: Go's side reads into buffers of this size and fails on a larger frame. */
enum {
	INNER = 2,
	HEADER = 8,
	CHUNK = 4096,
	FRAME_MAX = TTRPC_HEADER + TTRPC_MAX_BODY,
	WAITING_MAX = 1 << 20
};

/* One socket and what waits to be written to it. */
struct side {
	struct mux *mux;
	int fd;
	struct loop_io *io;
	struct str out;
	size_t out_at;
};

struct mux {
	struct loop *loop;
	struct side trunk, inner[INNER];
	uint8_t header[HEADER];
	size_t have; /* bytes of the header */
	uint32_t to, left; /* of the frame at hand */
	void (*gone)(void *arg);
	void *arg;
	bool is_gone;
};

static void on_event(struct loop_io *io, uint32_t events, void *arg);

static size_t waiting(const struct side *s)
{
	return s->out.len - s->out_at;
}

/* Who may be read depends on where it would go. */
static void update(struct mux *m)
{
	bool is_full = waiting(&m->inner[0]) > WAITING_MAX || waiting(&m->inner[1]) > WAITING_MAX;
	bool is_stuck = waiting(&m->trunk) > WAITING_MAX;

	if (m->is_gone)
		return;
	loop_io_set(m->trunk.io, (is_full ? 0 : EPOLLIN) | (waiting(&m->trunk) ? EPOLLOUT : 0));
	for (size_t i = 0; i < INNER; i++)
		loop_io_set(m->inner[i].io,
			    (is_stuck ? 0 : EPOLLIN) | (waiting(&m->inner[i]) ? EPOLLOUT : 0));
}

static int flush(struct side *s)
{
	while (waiting(s)) {
		ssize_t n = send(s->fd, s->out.ptr + s->out_at, waiting(s), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n < 0) {
			str_compact(&s->out, &s->out_at);
			return 0;
		}
		s->out_at += (size_t)n;
	}
	str_done(&s->out);
	s->out = STR_INIT(SIZE_MAX / 2);
	s->out_at = 0;
	return 0;
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* From one of ours to the plugin. */
static int wrap(struct mux *m, size_t which)
{
	uint8_t buf[HEADER + CHUNK];
	ssize_t n = read(m->inner[which].fd, buf + HEADER, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	put_u32(buf, (uint32_t)which + 1);
	put_u32(buf + 4, (uint32_t)n);
	str_addn(&m->trunk.out, buf, HEADER + (size_t)n);
	return flush(&m->trunk);
}

static size_t take_header(struct mux *m, const uint8_t *p, size_t n)
{
	size_t used = HEADER - m->have < n ? HEADER - m->have : n;

	memcpy(m->header + m->have, p, used);
	m->have += used;
	if (m->have == HEADER) {
		m->to = get_u32(m->header);
		m->left = get_u32(m->header + 4);
	}
	return used;
}

/* From the plugin to ours.  Frames of connections that nobody opened are dropped, as Go's side
 * does. */
static int unwrap(struct mux *m)
{
	uint8_t buf[CHUNK];
	ssize_t n = read(m->trunk.fd, buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	for (size_t at = 0; at < (size_t)n;) {
		if (m->have < HEADER) {
			at += take_header(m, buf + at, (size_t)n - at);
			if (m->have == HEADER && m->left > FRAME_MAX)
				return -1;
		}
		size_t take = (size_t)n - at < m->left ? (size_t)n - at : m->left;

		if (m->have == HEADER && m->to >= 1 && m->to <= INNER)
			str_addn(&m->inner[m->to - 1].out, buf + at, take);
		if (m->have < HEADER)
			continue;
		at += take;
		m->left -= (uint32_t)take;
		if (!m->left)
			m->have = 0;
	}
	return flush(&m->inner[0]) < 0 || flush(&m->inner[1]) < 0 ? -1 : 0;
}

static void tell_gone(struct mux *m)
{
	m->is_gone = true;
	loop_io_remove(TAKE_PTR(m->trunk.io));
	for (size_t i = 0; i < INNER; i++)
		loop_io_remove(TAKE_PTR(m->inner[i].io));
	m->gone(m->arg); /* may free m */
}

static void on_event(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct side *s = arg;
	struct mux *m = s->mux;
	int r = 0;

	if (events & EPOLLOUT)
		r = flush(s);
	if (r == 0 && events & EPOLLIN)
		r = s == &m->trunk ? unwrap(m) : wrap(m, (size_t)(s - m->inner));
	else if (events & (EPOLLHUP | EPOLLERR))
		r = -1;
	if (r < 0)
		tell_gone(m);
	else
		update(m);
}

static int add_side(struct mux *m, struct side *s, int fd)
{
	*s = (struct side){ .mux = m, .fd = fd, .out = STR_INIT(SIZE_MAX / 2) };
	return loop_io_add(m->loop, fd, EPOLLIN, on_event, s, &s->io);
}

int mux_new(struct loop *l, int trunk_take, void (*gone)(void *arg), void *arg, struct mux **ret,
	    int *ret_plugin_fd, int *ret_runtime_fd)
{
	struct mux *m = NEW(struct mux);
	int ends[INNER] = { -1, -1 }, r;

	*m = (struct mux){ .loop = l, .gone = gone, .arg = arg };
	for (size_t i = 0; i < INNER; i++)
		m->inner[i].fd = -1;
	r = add_side(m, &m->trunk, trunk_take);
	for (size_t i = 0; i < INNER && r == 0; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
			r = -errno;
			break;
		}
		ends[i] = pair[1];
		r = add_side(m, &m->inner[i], pair[0]);
	}
	if (r < 0) {
		for (size_t i = 0; i < INNER; i++)
			close_fd(&ends[i]);
		mux_free(m);
		return r;
	}
	*ret = m;
	*ret_plugin_fd = ends[0];
	*ret_runtime_fd = ends[1];
	return 0;
}

static void side_done(struct side *s)
{
	loop_io_remove(s->io);
	close_fd(&s->fd);
	str_done(&s->out);
}

void mux_free(struct mux *m)
{
	if (!m)
		return;
	side_done(&m->trunk);
	for (size_t i = 0; i < INNER; i++)
		side_done(&m->inner[i]);
	free(m);
}
