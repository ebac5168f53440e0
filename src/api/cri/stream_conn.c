/* One connection: bytes of a socket, through TLS or not, to frames and back. */
#include "api/cri/stream_conn.h"

#include "api/cri/stream_tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void conn_free(struct stream_conn *c)
{
	struct stream_conn **at = &c->server->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->server->n_conns--;
	c->server->n_unknown -= !c->is_known;
	loop_io_remove(c->io);
	loop_timer_remove(c->timer);
	close(c->fd);
	stream_tls_conn_free(c->tls);
	spdy_free(c->spdy);
	ws_done(&c->ws);
	free(c->channels);
	free(c->head);
	free(c->pod);
	free(c);
}

void stream_conn_free(struct stream_conn *c)
{
	const struct stream_user *user = c->user;

	c->user = NULL;
	if (user)
		user->gone(c->arg);
	conn_free(c);
}

static struct str *out_of(struct stream_conn *c)
{
	return c->spdy ? spdy_out(c->spdy) : &c->ws.out;
}

static size_t waiting(const struct stream_conn *c)
{
	return (c->spdy ? spdy_out(c->spdy)->len : c->ws.out.len) - c->out_at;
}

/* --- sending --- */

static ssize_t send_some(struct stream_conn *c, const void *bytes, size_t n)
{
	ssize_t r = send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r < 0)
		c->is_dead = true;
	return r < 0 ? 0 : r;
}

/* Of what is to be sent, as much as TLS or the socket takes now: 0 when neither does. */
static size_t flush_once(struct stream_conn *c)
{
	struct str *out = out_of(c);
	const char *p = str_c(out) + c->out_at;
	size_t n = out->len - c->out_at;

	if (!c->tls)
		return n ? (size_t)send_some(c, p, n) : 0;

	struct str *packed = stream_tls_out(c->tls);

	if (packed->len) {
		size_t sent = (size_t)send_some(c, packed->ptr, packed->len);

		memmove(packed->ptr, packed->ptr + sent, packed->len - sent);
		packed->len -= sent;
	}
	if (packed->len || !n)
		return 0;

	int took = stream_tls_write(c->tls, p, n);

	if (took < 0)
		c->is_dead = true;
	return took > 0 ? (size_t)took : 0;
}

static bool has_output(struct stream_conn *c)
{
	return waiting(c) || (c->tls && stream_tls_out(c->tls)->len);
}

static void set_events(struct stream_conn *c)
{
	bool may_read = !c->held && waiting(c) < STREAM_OUT;

	loop_io_set(c->io, EPOLLRDHUP | (may_read ? EPOLLIN : 0) | (has_output(c) ? EPOLLOUT : 0));
}

/* Nothing is freed here: callers may be the connection's own user. */
static void flush(struct stream_conn *c)
{
	bool is_sent = false;
	size_t n;

	while (!c->is_dead && (n = flush_once(c))) {
		c->out_at += n;
		c->active = loop_now();
		is_sent = true;
		if (c->out_at == out_of(c)->len) {
			str_reset(out_of(c));
			c->out_at = 0;
		}
	}
	if (c->out_at)
		str_compact(out_of(c), &c->out_at);
	/* Whoever caused this may not be the one who waits for room. */
	if (c->is_dead || (is_sent && c->is_starved))
		loop_timer_set(c->timer, 0);
	if (!c->is_dead)
		set_events(c);
}

/* --- what users ask for --- */

struct stream_server *stream_conn_server(const struct stream_conn *c)
{
	return c->server;
}

bool stream_conn_is_spdy(const struct stream_conn *c)
{
	return c->spdy;
}

bool stream_conn_has_status(const struct stream_conn *c)
{
	return c->spdy ? c->version >= 4 : c->channels->protocol->has_status;
}

bool stream_conn_has_resize(const struct stream_conn *c)
{
	return !c->spdy || c->version >= 3;
}

const char *stream_conn_header(const struct stream_conn *c, const char *name)
{
	return spdy_header(c->spdy, name);
}

void stream_conn_accept(struct stream_conn *c, uint32_t id)
{
	spdy_accept(c->spdy, id);
	flush(c);
}

void stream_conn_reset(struct stream_conn *c, uint32_t id)
{
	if (c->spdy)
		spdy_reset(c->spdy, id, SPDY_REFUSED_STREAM);
	flush(c);
}

size_t stream_conn_room(struct stream_conn *c, uint32_t id)
{
	size_t n = waiting(c), room = c->spdy ? spdy_room(c->spdy, id) : WS_DATA_MAX;

	if (n >= STREAM_OUT || !room || c->is_finishing) {
		c->is_starved = true;
		return 0;
	}
	return room < STREAM_OUT - n ? room : STREAM_OUT - n;
}

static void put(struct stream_conn *c, uint32_t id, const void *bytes, size_t n, bool is_last)
{
	if (c->is_finishing)
		return;
	if (c->spdy)
		spdy_send(c->spdy, id, bytes, n, is_last);
	else if (n)
		kube_channel_send(&c->ws, c->channels->protocol, id, bytes, n);
}

void stream_conn_send(struct stream_conn *c, uint32_t id, const void *bytes, size_t n, bool is_last)
{
	put(c, id, bytes, n, is_last);
	flush(c);
}

void stream_conn_say(struct stream_conn *c, uint32_t id, const char *text, bool is_last)
{
	size_t n = strlen(text);

	put(c, id, text, n < STREAM_CHUNK ? n : STREAM_CHUNK, is_last);
	flush(c);
}

void stream_conn_greet(struct stream_conn *c, uint32_t id)
{
	kube_channel_send(&c->ws, c->channels->protocol, id, "", 0);
	flush(c);
}

void stream_conn_hold(struct stream_conn *c, bool is_held)
{
	c->held += is_held ? 1 : -1;
	set_events(c);
	/* TLS may have bytes that the socket knows nothing of any more. */
	if (!c->held && c->tls)
		loop_timer_set(c->timer, 0);
}

void stream_conn_passed(struct stream_conn *c, uint32_t id, size_t n)
{
	if (!c->spdy || !n)
		return;
	spdy_passed(c->spdy, id, n);
	if (waiting(c))
		flush(c);
}

void stream_conn_finish(struct stream_conn *c)
{
	c->user = NULL;
	if (c->spdy)
		spdy_go_away(c->spdy);
	else if (c->channels)
		ws_close(&c->ws, WS_NORMAL);
	c->is_finishing = true;
	c->held = 0;
	c->until = loop_now() + STREAM_GOODBYE_NS;
	flush(c);
	/* from a step of the loop's own: we may be in the middle of reading this connection */
	loop_timer_set(c->timer, 0);
}

void stream_conn_use(struct stream_conn *c, const struct stream_user *user, void *arg)
{
	c->user = user;
	c->arg = arg;
}

/* --- reading --- */

static void on_spdy(struct stream_conn *c, const struct spdy_event *ev)
{
	const struct stream_user *u = c->user;

	switch (ev->kind) {
	case SPDY_OPENED:
		if (u)
			u->opened(c->arg, ev->stream, ev->is_last);
		else
			stream_conn_reset(c, ev->stream);
		break;
	case SPDY_BYTES:
		if (u)
			u->bytes(c->arg, ev->stream, ev->bytes, ev->n, ev->is_last);
		break;
	case SPDY_RESET:
		if (u)
			u->reset(c->arg, ev->stream);
		break;
	case SPDY_FAILED:
		c->is_broken = true;
		break;
	case SPDY_MORE:
		break;
	}
}

static void on_ws(struct stream_conn *c, const struct ws_event *ev)
{
	struct kube_channel_event got;
	const char *bad = NULL;

	if (ev->kind == WS_CLOSED || ev->kind == WS_FAILED)
		c->is_broken = true;
	if (ev->kind != WS_PIECE)
		return;
	bad = kube_channel_read(c->channels, ev, &got);
	if (bad) {
		ws_close(&c->ws, WS_PROTOCOL_ERROR);
		c->is_broken = true;
	} else if (got.number >= 0 && c->user) {
		c->user->bytes(c->arg, (uint32_t)got.number, got.bytes, got.n, got.is_close);
	}
}

/* Bytes of a head that is not whole yet wait. */
static size_t on_head(struct stream_conn *c, uint8_t *bytes, size_t n)
{
	size_t take = HTTP1_HEAD - c->n_head < n ? HTTP1_HEAD - c->n_head : n;
	const char *end;

	memcpy(c->head + c->n_head, bytes, take);
	end = memmem(c->head, c->n_head + take, "\r\n\r\n", 4);
	if (!end && c->n_head + take < HTTP1_HEAD) {
		c->n_head += take;
		return take;
	}

	/* What is behind it belongs to the next protocol. */
	size_t len = end ? (size_t)(end - c->head) + 4 : c->n_head + take;
	size_t used = len - c->n_head;

	c->n_head = 0;
	stream_conn_dispatch(c, c->head, len);
	free(TAKE_PTR(c->head));
	return used;
}

/* Over bytes that were read; what a peer sends to a connection that is ending goes nowhere. */
static void feed(struct stream_conn *c, uint8_t *bytes, size_t n)
{
	size_t at = 0;

	while (at < n && !c->is_dead && !c->is_broken) {
		struct spdy_event sp;
		struct ws_event ev;

		if (c->head) {
			at += on_head(c, bytes + at, n - at);
		} else if (c->spdy) {
			at += spdy_push(c->spdy, bytes + at, n - at, &sp);
			on_spdy(c, &sp);
		} else if (c->channels) {
			at += ws_push(&c->ws, bytes + at, n - at, &ev);
			on_ws(c, &ev);
		} else {
			return; /* refused */
		}
	}
}

/* False: the peer has gone. */
static bool read_plain(struct stream_conn *c)
{
	struct stream_server *s = c->server;
	ssize_t n = recv(c->fd, s->buf, sizeof s->buf, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	/* What comes behind the end is for nobody; TLS would keep all of it. */
	if (c->is_broken || c->is_finishing)
		return true;
	if (!c->tls) {
		feed(c, s->buf, (size_t)n);
		return true;
	}
	return stream_tls_push(c->tls, s->buf, (size_t)n) == 0;
}

/* What TLS has unpacked. */
static bool read_unpacked(struct stream_conn *c)
{
	int n = 1;

	while (c->tls && !c->held && !c->is_dead && !c->is_broken && n > 0) {
		n = stream_tls_read(c->tls, c->server->buf, sizeof c->server->buf);
		if (n > 0)
			feed(c, c->server->buf, (size_t)n);
	}
	return n >= 0;
}

/* The user is told once; then the connection goes, or says goodbye first. */
static void end(struct stream_conn *c)
{
	const struct stream_user *user = c->user;

	c->user = NULL;
	if (user)
		user->gone(c->arg);
	if (c->is_dead) {
		conn_free(c);
		return;
	}
	if (!c->is_finishing) {
		c->is_finishing = true;
		c->until = loop_now() + STREAM_GOODBYE_NS;
		loop_timer_set(c->timer, STREAM_GOODBYE_NS);
	}
	c->held = 0;
	flush(c);
	if (!has_output(c) && !c->is_shut) {
		c->is_shut = true;
		(void)shutdown(c->fd, SHUT_WR); /* it may have gone already */
	}
}

/* Its last act: the user may finish the connection. */
static void tell_room(struct stream_conn *c)
{
	if (!c->is_starved || c->is_dead || waiting(c) >= STREAM_OUT)
		return;
	c->is_starved = false;
	if (c->user && c->user->room)
		c->user->room(c->arg);
}

static void on_io(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct stream_conn *c = arg;

	c->active = loop_now();
	if (events & (EPOLLERR | EPOLLHUP))
		c->is_dead = true;
	else if ((events & EPOLLIN) && (!read_plain(c) || !read_unpacked(c)))
		c->is_dead = true;
	else if ((events & EPOLLRDHUP) && !(events & EPOLLIN))
		c->is_dead = true; /* while it is held: nobody is there for the answer */
	if (!c->is_dead)
		flush(c);
	if (c->is_dead || c->is_broken || c->is_finishing) {
		end(c);
		return;
	}
	tell_room(c); /* something was sent, or a window has grown */
}

/* The next moment at which somebody's patience ends. */
static uint64_t next_timer(struct stream_conn *c, uint64_t now)
{
	/* may finish the connection */
	uint64_t at = c->user && c->user->timer ? c->user->timer(c->arg, now) : 0;
	uint64_t idle = c->server->en->cfg->stream.idle_timeout;

	if (!at)
		at = UINT64_MAX;
	if (idle && c->active + idle < at)
		at = c->active + idle;
	return c->until && c->until < at ? c->until : at;
}

static void on_timer(UNUSED struct loop_timer *t, void *arg)
{
	struct stream_conn *c = arg;
	uint64_t now = loop_now(), at;

	if (!c->is_dead && !read_unpacked(c))
		c->is_dead = true;
	at = next_timer(c, now);
	if (at <= now)
		c->is_dead = true;
	else if (at != UINT64_MAX)
		loop_timer_set(c->timer, at - now);
	if (c->is_dead || c->is_broken || c->is_finishing) {
		end(c);
		return;
	}
	flush(c);
	tell_room(c);
}

void stream_conn_timer(struct stream_conn *c)
{
	loop_timer_set(c->timer, 0);
}

void stream_conn_new(struct stream_server *s, int fd)
{
	struct stream_conn *c = NEW(struct stream_conn);

	*c = (struct stream_conn){ .server = s,
				   .fd = fd,
				   .head = xmalloc(HTTP1_HEAD),
				   .ws = WS_INIT,
				   .active = loop_now(),
				   .until = loop_now() + STREAM_HEAD_NS };
	if (loop_io_add(s->loop, fd, EPOLLIN | EPOLLRDHUP, on_io, c, &c->io) < 0) {
		close(fd);
		free(c->head);
		free(c);
		return;
	}
	c->timer = loop_timer_add(s->loop, 0, on_timer, c); /* which finds out when next */
	if (s->tls)
		c->tls = stream_tls_conn_new(s->tls);
	c->next = s->conns;
	s->conns = c;
	s->n_conns++;
	s->n_unknown++;
}
