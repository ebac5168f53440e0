#include "wire/grpc_client.h"

#include "loop/cancel.h"
#include "loop/loop.h"
#include "loop/trace.h"
#include "os/fd.h"
#include "os/socket.h"
#include "wire/grpc_client_priv.h"
#include "wire/grpc_header.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int lost(struct grpc_client *c, struct err *e)
{
	(void)err_copy(e, &c->lost);
	return -1;
}

static void set_lost(struct grpc_client *c, const char *why)
{
	if (!c->lost.code)
		(void)err_set(&c->lost, ERR_UNAVAILABLE, "error reading from server: %s", why);
}

/* Frames into the buffer until there is enough for one send.  -1: the session is over. */
static int gather(struct grpc_client *c)
{
	while (c->out_len < GRPC_CLIENT_ENOUGH) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(c->ng, &p);

		if (n == 0)
			break;
		if (n < 0) {
			set_lost(c, nghttp2_strerror((int)n));
			return -1;
		}
		if ((size_t)n > sizeof c->out - c->out_len)
			BUG("a frame is larger than frames are");
		memcpy(c->out + c->out_len, p, (size_t)n);
		c->out_len += (size_t)n;
	}
	return 0;
}

/* -1 when the connection is lost; what it can tell is in c->lost. */
static int flush(struct grpc_client *c)
{
	for (;;) {
		if (c->out_at == c->out_len) {
			c->out_at = c->out_len = 0;
			if (gather(c) < 0)
				return -1;
			if (!c->out_len)
				return 0;
		}
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0) {
			set_lost(c, err_errno_text(errno));
			return -1;
		}
		c->out_at += (size_t)n;
	}
}

/* Reads what is there. */
static int input(struct grpc_client *c)
{
	uint8_t buf[32 * 1024];

	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0) {
			set_lost(c, n ? err_errno_text(errno) : "EOF");
			return -1;
		}
		ssize_t used = nghttp2_session_mem_recv(c->ng, buf, (size_t)n);
		if (used < 0) {
			set_lost(c, nghttp2_strerror((int)used));
			return -1;
		}
		if ((size_t)n < sizeof buf)
			return 0;
	}
	return 0;
}

int grpc_pump(struct grpc_client *c, struct err *e)
{
	/* What arrived before the loss still counts: read first, even after a failed write. */
	if (!c->lost.code && (input(c) < 0 || flush(c) < 0))
		(void)input(c);
	return c->lost.code ? lost(c, e) : 0;
}

/* One round of waiting, at most until deadline (0: none). */
static void wait_round(struct grpc_client *c, uint64_t deadline)
{
	struct err ignored = { 0 };
	int ms = -1;

	if (!c->lost.code)
		(void)flush(c);
	if (c->lost.code)
		return;
	if (deadline) {
		uint64_t now = loop_now();

		ms = now >= deadline ? 0 : (int)((deadline - now) / 1000000 + 1);
	}
	struct pollfd p = { .fd = c->fd, .events = grpc_events(c) };
	if (poll(&p, 1, ms) > 0)
		(void)grpc_pump(c, &ignored); /* the caller looks at c->lost */
}

static bool is_late(const struct grpc_stream *s)
{
	return s->deadline && !s->is_closed && loop_now() >= s->deadline;
}

/* The stream's end as an error; 0 for OK. */
static int stream_status(struct grpc_stream *s, struct err *e)
{
	if (!s->is_closed && s->client->lost.code)
		return lost(s->client, e);
	if (!s->is_closed && is_late(s))
		return err_set(e, ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
	return s->status.code ? err_copy(e, &s->status) : 0;
}

bool grpc_stream_ready(const struct grpc_stream *s)
{
	return s->in || s->is_closed || s->client->lost.code || is_late(s);
}

int grpc_stream_recv(struct grpc_stream *s, struct arena *a, void **ret, struct err *e)
{
	while (!grpc_stream_ready(s))
		wait_round(s->client, s->deadline);

	AUTO_FREE struct grpc_msg *msg = s->in;
	if (!msg)
		return stream_status(s, e);
	s->in = msg->next;
	if (!s->in)
		s->in_tail = &s->in;
	s->in_bytes -= msg->len;
	grpc_client_consume(s);
	return grpc_decode(s->rsp_type, a, msg->data, msg->len, ret, e) < 0 ? -1 : 1;
}

int grpc_stream_wait_headers(struct grpc_stream *s, struct err *e)
{
	while (!s->has_headers && !grpc_stream_ready(s))
		wait_round(s->client, s->deadline);
	return s->has_headers ? 0 : stream_status(s, e);
}

static int queue(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e)
{
	uint8_t *data;
	size_t n;

	while (s->out_pending > GRPC_CLIENT_WINDOW && !s->is_closed && !s->client->lost.code &&
	       !is_late(s))
		wait_round(s->client, s->deadline);
	if (s->is_closed || s->client->lost.code || is_late(s)) {
		if (stream_status(s, e) < 0)
			return -1;
		return err_set(e, ERR_UNAVAILABLE, "the server has ended the stream");
	}
	if (grpc_encode(msg, GRPC_CLIENT_MAX, &data, &n, e) < 0)
		return -1;
	grpc_client_queue(s, data, n);
	return 0;
}

int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e)
{
	if (queue(s, msg, e) < 0)
		return -1;
	(void)flush(s->client); /* a loss shows in the next call */
	return 0;
}

int grpc_stream_send_last(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e)
{
	return queue(s, msg, e) < 0 ? -1 : grpc_stream_close_send(s, e);
}

int grpc_stream_close_send(struct grpc_stream *s, struct err *e)
{
	if (!s->is_closed && s->client->lost.code)
		return lost(s->client, e);
	grpc_client_queue(s, NULL, 0);
	(void)flush(s->client); /* a loss shows in the next call */
	return 0;
}

int grpc_stream_open(struct grpc_client *c, const char *path,
		     const ProtobufCMessageDescriptor *rsp_type, const struct grpc_options *opt,
		     struct grpc_stream **ret, struct err *e)
{
	if (c->lost.code)
		return lost(c, e);
	*ret = grpc_client_submit(c, path, rsp_type, opt);
	if (*ret)
		return 0;
	(void)err_set(e, ERR_UNAVAILABLE, "the server is shutting the connection down");
	return -1;
}

int grpc_call(struct grpc_client *c, const char *path, const ProtobufCMessage *req,
	      const ProtobufCMessageDescriptor *rsp_type, struct arena *a, void **ret_rsp,
	      const struct grpc_options *opt, struct err *e)
{
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;

	if (grpc_stream_open(c, path, rsp_type, opt, &s, e) < 0 ||
	    grpc_stream_send_last(s, req, e) < 0)
		return -1;
	return grpc_stream_result(s, a, ret_rsp, e);
}

int grpc_stream_result(struct grpc_stream *s, struct arena *a, void **ret, struct err *e)
{
	void *again;
	int r = grpc_stream_recv(s, a, ret, e);

	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(e, ERR_INTERNAL,
			       "cardinality violation: received no response message");
	r = grpc_stream_recv(s, a, &again, e); /* the status */
	if (r > 0)
		return err_set(e, ERR_INTERNAL,
			       "cardinality violation: received multiple response messages");
	return r;
}

void grpc_meta(struct grpc_client *c, const char *key, const char *value)
{
	GROW(c->meta, c->n_meta, c->cap_meta);
	c->meta[c->n_meta++] = (struct grpc_header){ xstrdup(key), xstrdup(value) };
}

void grpc_trace(struct grpc_client *c, struct str *log, const char *who)
{
	c->trace = log;
	c->trace_who = who;
}

int grpc_fd(const struct grpc_client *c)
{
	return c->fd;
}

short grpc_events(const struct grpc_client *c)
{
	if (c->out_at < c->out_len || nghttp2_session_want_write(c->ng))
		return POLLIN | POLLOUT;
	return POLLIN;
}

int grpc_connect_fd(int fd, struct grpc_client **ret, UNUSED struct err *e)
{
	struct grpc_client *c = NEW(struct grpc_client);

	c->fd = fd;
	grpc_client_session(c);
	*ret = c;
	return 0;
}

static int cannot_dial(const char *path, int errnum, struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE,
		       "connection error: desc = \"transport: error while dialing: dial unix %s: "
		       "connect: %s\"",
		       path, err_errno_text(errnum));
}

/* EAGAIN: its queue is full, and the kernel has nothing to wait with that could be broken off. */
int grpc_connect_until(const char *path, struct cancel *c, uint64_t deadline,
		       struct grpc_client **ret, struct err *e)
{
	const uint64_t pause_ns = 20000000;

	for (;;) {
		struct err why = { 0 };
		uint64_t pause = loop_now() + pause_ns;
		int fd = socket_connect_now(path);

		if (fd >= 0)
			return grpc_connect_fd(fd, ret, e);
		if (fd != -EAGAIN)
			return cannot_dial(path, -fd, e);
		if (deadline && pause > deadline)
			return err_set(e, ERR_DEADLINE_EXCEEDED, "%s",
				       err_class_text(ERR_DEADLINE_EXCEEDED));
		if (cancel_poll(c, -1, 0, pause, &why) < 0 && loop_now() < pause)
			return err_copy(e, &why);
	}
}

int grpc_connect(const char *path, uint64_t timeout_ns, struct grpc_client **ret, struct err *e)
{
	uint64_t until = loop_now() + timeout_ns;
	int fd;

	for (;;) {
		fd = socket_connect(path);
		if (fd >= 0)
			return grpc_connect_fd(fd, ret, e);
		if (loop_now() >= until || (fd != -ENOENT && fd != -ECONNREFUSED && fd != -EAGAIN))
			break;
		nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	}
	return cannot_dial(path, -fd, e);
}

void grpc_close(struct grpc_client *c)
{
	if (!c)
		return;
	while (c->streams)
		grpc_stream_free(c->streams);
	if (!c->lost.code)
		(void)flush(c); /* the last RST_STREAMs, if there is room */
	nghttp2_session_del(c->ng);
	close_fd(&c->fd);
	for (size_t i = 0; i < c->n_meta; i++) {
		free(c->meta[i].key);
		free(c->meta[i].value);
	}
	free(c->meta);
	free(c);
}
