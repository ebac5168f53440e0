#include "wire/ttrpc_server.h"

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/trace.h"
#include "os/socket.h"
#include "ttrpc/request.pb-c.h"
#include "wire/ttrpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MAX_CONNECTIONS = 64,
	MAX_CALLS = 4096, /* open calls of one connection: a parked Wait is small */
	MAX_PENDING_OUT = 16 << 20, /* answers that a peer does not read */
	READ_SIZE = 4096,
};

struct conn;

struct ttrpc_server {
	struct loop *loop;
	pthread_t thread; /* of the loop, known from the first event on */
	int fd;
	struct loop_io *io;
	const struct ttrpc_method *methods;
	void *user;
	struct conn *conns;
	size_t n_conns;
	struct loop_timer *drain_timer;
	void (*drained)(void *arg);
	void *drained_arg;
	void (*alone)(void *arg);
	void *alone_arg;
};

struct conn {
	struct ttrpc_server *server;
	int fd;
	struct loop_io *io;
	struct ttrpc_reader reader;
	uint32_t last_stream;
	struct str out;
	size_t out_at; /* bytes of out that are written */
	struct open_call *calls;
	size_t n_calls;
	bool is_reading;
	struct conn *next, *prev;
};

/* A call from its frame to its answer; conn is NULL once the peer is gone. */
struct open_call {
	struct ttrpc_call call; /* first: handlers get its address */
	struct loop *loop; /* the answer may come after the server has gone */
	pthread_t thread;
	struct conn *conn;
	uint32_t stream;
	Ttrpc__Request *frame; /* owns the namespace's text */
	ProtobufCMessage *req;
	struct open_call *next, *prev;
};

static void conn_close(struct conn *c);
static void on_conn(struct loop_io *io, uint32_t events, void *arg);

static void drain_check(struct ttrpc_server *s)
{
	if (!s->drained)
		return;
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->out.len > c->out_at)
			return;

	void (*fn)(void *arg) = s->drained;

	s->drained = NULL;
	fn(s->drained_arg);
}

static void conn_update(struct conn *c)
{
	c->is_reading = c->n_calls < MAX_CALLS && c->out.len - c->out_at < MAX_PENDING_OUT;
	loop_io_set(c->io, (c->is_reading ? EPOLLIN : 0) | (c->out.len ? EPOLLOUT : 0));
}

/* false: the connection is gone */
static bool conn_flush(struct conn *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n =
			send(c->fd, c->out.ptr + c->out_at, c->out.len - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			conn_close(c);
			return false;
		}
		c->out_at += (size_t)n;
	}
	if (c->out_at == c->out.len) {
		str_done(&c->out);
		c->out = STR_INIT(SIZE_MAX / 2);
		c->out_at = 0;
	}
	str_compact(&c->out, &c->out_at);
	conn_update(c);
	drain_check(c->server);
	return true;
}

static void call_free(struct open_call *oc)
{
	if (oc->conn) {
		if (oc->next)
			oc->next->prev = oc->prev;
		if (oc->prev)
			oc->prev->next = oc->next;
		else
			oc->conn->calls = oc->next;
		oc->conn->n_calls--;
	}
	if (oc->req)
		protobuf_c_message_free_unpacked(oc->req, NULL);
	ttrpc__request__free_unpacked(oc->frame, NULL);
	if (oc->call.trace)
		str_done(oc->call.trace);
	free(oc->call.trace);
	free(oc);
}

/* Body of a Response frame; *ret is the caller's. */
static size_t response_pack(const struct err *e, const ProtobufCMessage *rsp,
			    const struct str *trace, uint8_t **ret)
{
	Ttrpc__Response m = TTRPC__RESPONSE__INIT;
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	char text[1100];
	AUTO_FREE uint8_t *payload = NULL;

	if (rsp) {
		m.payload.len = protobuf_c_message_get_packed_size(rsp);
		m.payload.data = payload = xmalloc(m.payload.len);
		protobuf_c_message_pack(rsp, payload);
	}

	struct err too_long = { 0 };

	if (trace)
		m.casco_trace = (char *)str_c(trace);
	if (m.payload.len > TTRPC_MAX_BODY - 64 - (trace ? trace->len : 0)) {
		err_set(&too_long, ERR_RESOURCE_EXHAUSTED,
			"ttrpc: message length %zu exceeds the limit", m.payload.len);
		m.payload.len = 0;
		e = &too_long;
	}
	if (e) {
		status.code = (int)e->code;
		status.message = (char *)err_text(e, text, sizeof text);
		m.status = &status;
	}

	size_t n = ttrpc__response__get_packed_size(&m);

	*ret = xmalloc(n);
	ttrpc__response__pack(&m, *ret);
	return n;
}

struct answer {
	struct open_call *oc;
	uint8_t *body;
	size_t n;
};

static void conn_respond(struct conn *c, uint32_t stream, const uint8_t *body, size_t n)
{
	ttrpc_frame_add(&c->out, stream, TTRPC_RESPONSE, 0, body, n);
	conn_flush(c);
}

static void answer_send(void *arg)
{
	struct answer *a = arg;
	struct open_call *oc = a->oc;
	struct conn *c = oc->conn;
	uint32_t stream = oc->stream;

	call_free(oc);
	if (c)
		conn_respond(c, stream, a->body, a->n);
	free(a->body);
	free(a);
}

static void answer(struct ttrpc_call *call, const struct err *e, const ProtobufCMessage *rsp)
{
	struct answer *a = NEW(struct answer);

	a->oc = (struct open_call *)call;
	a->n = response_pack(e, rsp, call->trace, &a->body);
	if (pthread_equal(a->oc->thread, pthread_self()))
		answer_send(a);
	else
		loop_post(a->oc->loop, answer_send, a);
}

void ttrpc_reply(struct ttrpc_call *c, const ProtobufCMessage *rsp)
{
	answer(c, NULL, rsp);
}

void ttrpc_fail(struct ttrpc_call *c, const struct err *e)
{
	answer(c, e, NULL);
}

/* An answer where no call came to be; the request never reached a handler. */
static void conn_refuse(struct conn *c, uint32_t stream, enum err_code code, const char *text)
{
	struct err e = { 0 };
	AUTO_FREE uint8_t *body = NULL;

	err_set(&e, code, "%s", text);
	/* Go's server sends these texts without the class behind them. */
	Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
	Ttrpc__Response m = TTRPC__RESPONSE__INIT;

	status.code = (int)code;
	status.message = e.msg;
	m.status = &status;

	size_t n = ttrpc__response__get_packed_size(&m);

	body = xmalloc(n);
	ttrpc__response__pack(&m, body);
	conn_respond(c, stream, body, n);
}

static const struct ttrpc_method *method_find(const struct ttrpc_server *s, const char *service,
					      const char *method, bool *ret_has_service)
{
	*ret_has_service = false;
	for (const struct ttrpc_method *m = s->methods; m->service; m++) {
		if (strcmp(m->service, service) != 0)
			continue;
		*ret_has_service = true;
		if (strcmp(m->method, method) == 0)
			return m;
	}
	return NULL;
}

static void request_refuse_unknown(struct conn *c, uint32_t stream, const Ttrpc__Request *q,
				   bool has_service)
{
	char text[300];

	snprintf(text, sizeof text, "%s %.250s", has_service ? "method" : "service",
		 has_service ? q->method : q->service);
	conn_refuse(c, stream, ERR_UNIMPLEMENTED, text);
}

static void ask_trace(struct open_call *oc)
{
	if (oc->call.trace)
		return;
	oc->call.trace = NEW(struct str);
	*oc->call.trace = STR_INIT(TRACE_LOG_MAX);
}

static void on_request(struct conn *c, const struct ttrpc_frame *f)
{
	Ttrpc__Request *q = ttrpc__request__unpack(NULL, f->len, f->body);
	bool has_service;

	if (!q) {
		conn_refuse(c, f->stream, ERR_INVALID_ARGUMENT, "unmarshal request error");
		return;
	}

	const struct ttrpc_method *m = method_find(c->server, q->service, q->method, &has_service);

	if (!m) {
		request_refuse_unknown(c, f->stream, q, has_service);
		ttrpc__request__free_unpacked(q, NULL);
		return;
	}

	ProtobufCMessage *req =
		protobuf_c_message_unpack(m->request, NULL, q->payload.len, q->payload.data);

	if (!req) {
		conn_refuse(c, f->stream, ERR_INVALID_ARGUMENT, "unmarshal payload error");
		ttrpc__request__free_unpacked(q, NULL);
		return;
	}

	struct open_call *oc = NEW(struct open_call);

	*oc = (struct open_call){
		.call = { .user = c->server->user,
			  .method = m,
			  .req = req,
			  .ns = "",
			  .deadline = q->timeout_nano > 0 ? loop_now() + (uint64_t)q->timeout_nano
							  : 0 },
		.loop = c->server->loop,
		.thread = c->server->thread,
		.conn = c,
		.stream = f->stream,
		.frame = q,
		.req = req,
		.next = c->calls,
	};
	for (size_t i = q->n_metadata; i-- > 0;) /* the first one counts */
		if (strcmp(q->metadata[i]->key, TTRPC_NAMESPACE_KEY) == 0)
			oc->call.ns = q->metadata[i]->value;
		else if (strcmp(q->metadata[i]->key, TRACE_ASK) == 0)
			ask_trace(oc);
	if (c->calls)
		c->calls->prev = oc;
	c->calls = oc;
	c->n_calls++;
	m->fn(&oc->call);
}

/* The handler may have closed the connection when this returns. */
static void on_frame(struct conn *c, const struct ttrpc_frame *f)
{
	if (f->type != TTRPC_REQUEST)
		return; /* data of a stream we never opened, or a type of tomorrow */
	if (f->is_too_long) {
		char text[120];

		snprintf(text, sizeof text, "message length %zu exceed maximum message size of %d",
			 f->len, TTRPC_MAX_BODY);
		conn_refuse(c, f->stream, ERR_RESOURCE_EXHAUSTED, text);
		return;
	}
	if (f->stream % 2 == 0) {
		conn_refuse(c, f->stream, ERR_INVALID_ARGUMENT,
			    "StreamID must be odd for client initiated streams");
		return;
	}
	if (f->stream <= c->last_stream) {
		conn_refuse(c, f->stream, ERR_INVALID_ARGUMENT,
			    "StreamID cannot be re-used and must increment");
		return;
	}
	c->last_stream = f->stream;
	on_request(c, f);
}

/* Whether c is still among the connections: a handler may have ended it. */
static bool conn_is_alive(const struct ttrpc_server *s, const struct conn *c)
{
	for (const struct conn *o = s->conns; o; o = o->next)
		if (o == c)
			return true;
	return false;
}

static void conn_read(struct conn *c)
{
	struct ttrpc_server *s = c->server;
	uint8_t buf[READ_SIZE];
	ssize_t n = read(c->fd, buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c);
		return;
	}
	for (size_t at = 0; at < (size_t)n;) {
		struct ttrpc_frame f;
		bool has;

		at += ttrpc_reader_push(&c->reader, buf + at, (size_t)n - at, &f, &has);
		if (!has)
			continue;
		on_frame(c, &f);
		if (!conn_is_alive(s, c))
			return;
	}
	conn_update(c);
}

static void on_conn(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct conn *c = arg;
	struct ttrpc_server *s = c->server;

	s->thread = pthread_self();
	if (events & EPOLLOUT && !conn_flush(c))
		return;
	if (events & EPOLLIN)
		conn_read(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		conn_close(c);
}

static void conn_close(struct conn *c)
{
	struct ttrpc_server *s = c->server;

	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	s->n_conns--;
	loop_io_remove(c->io);
	close_fd(&c->fd);
	while (c->calls) {
		struct open_call *oc = c->calls;

		c->calls = oc->next;
		if (c->calls)
			c->calls->prev = NULL;
		oc->conn = NULL;
		if (oc->call.on_cancel)
			oc->call.on_cancel(&oc->call);
	}
	ttrpc_reader_done(&c->reader);
	str_done(&c->out);
	FREE_SHARED(c);
	if (s->io && s->n_conns < MAX_CONNECTIONS)
		loop_io_set(s->io, EPOLLIN);
	if (!s->n_conns && s->alone)
		s->alone(s->alone_arg);
	drain_check(s);
}

static void on_accept(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct ttrpc_server *s = arg;
	AUTO_FD int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct socket_peer peer;

	s->thread = pthread_self();
	if (fd < 0)
		return; /* the peer has left, or we are out of fds: it tries again */
	if (socket_peer(fd, &peer) < 0 || peer.uid != geteuid() || peer.gid != getegid())
		return;

	ttrpc_server_add(s, TAKE_FD(fd));
}

void ttrpc_server_add(struct ttrpc_server *s, int fd_take)
{
	AUTO_FD int fd = fd_take;
	struct conn *c = NEW(struct conn);

	*c = (struct conn){
		.server = s, .out = STR_INIT(SIZE_MAX / 2), .is_reading = true, .next = s->conns
	};
	if (loop_io_add(s->loop, fd, EPOLLIN, on_conn, c, &c->io) < 0) {
		free(c);
		return;
	}
	c->fd = TAKE_FD(fd);
	if (s->conns)
		s->conns->prev = c;
	s->conns = c;
	if (++s->n_conns == MAX_CONNECTIONS && s->io)
		loop_io_set(s->io, 0);
}

struct ttrpc_server *ttrpc_server_new(struct loop *l, int listen_fd,
				      const struct ttrpc_method *methods, void *user)
{
	struct ttrpc_server *s = NEW(struct ttrpc_server);

	*s = (struct ttrpc_server){ .loop = l,
				    .thread = pthread_self(),
				    .fd = listen_fd,
				    .methods = methods,
				    .user = user };
	if (listen_fd >= 0 && loop_io_add(l, listen_fd, EPOLLIN, on_accept, s, &s->io) < 0)
		BUG("ttrpc server on a bad socket");
	return s;
}

static void stop_listening(struct ttrpc_server *s)
{
	loop_io_remove(s->io);
	s->io = NULL;
	close_fd(&s->fd);
	s->fd = -1;
}

void ttrpc_server_free(struct ttrpc_server *s)
{
	if (!s)
		return;
	stop_listening(s);
	s->drained = NULL;
	loop_timer_remove(s->drain_timer);
	while (s->conns)
		conn_close(s->conns);
	free(s);
}

static void on_drain_timeout(UNUSED struct loop_timer *t, void *arg)
{
	struct ttrpc_server *s = arg;
	void (*fn)(void *arg) = s->drained;

	s->drained = NULL;
	if (fn)
		fn(s->drained_arg);
}

static void drain_start(void *arg)
{
	drain_check(arg);
}

void ttrpc_server_drain(struct ttrpc_server *s, void (*fn)(void *arg), void *arg)
{
	stop_listening(s);
	s->drained = fn;
	s->drained_arg = arg;
	s->drain_timer = loop_timer_add(s->loop, 1000000000u, on_drain_timeout, s);
	loop_post(s->loop, drain_start, s);
}

size_t ttrpc_server_connections(const struct ttrpc_server *s)
{
	return s->n_conns;
}

void ttrpc_server_on_alone(struct ttrpc_server *s, void (*fn)(void *arg), void *arg)
{
	s->alone = fn;
	s->alone_arg = arg;
}
