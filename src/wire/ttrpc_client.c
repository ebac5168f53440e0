#include "wire/ttrpc_client.h"

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/trace.h"
#include "os/fd.h"
#include "os/socket.h"
#include "ttrpc/request.pb-c.h"
#include "wire/ttrpc.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { READ_SIZE = 4096 };

struct pending {
	struct ttrpc_client *client;
	uint32_t id;
	ttrpc_done_fn *done;
	void *arg;
	uint64_t timeout; /* watched by the loop; 0: the waiting thread does it, or nobody */
	struct loop_timer *timer; /* loop thread only */
	struct str *trace; /* of a waiting thread that wants one, or NULL */
	struct pending *next, *prev;
	struct err error; /* for completions that are posted */
};

/* One reference is the caller's, one the loop's while the socket is watched, one each posted
 * function's and each waiting thread's. */
struct ttrpc_client {
	struct loop *loop;
	pthread_mutex_t lock; /* guards what follows; never held across a callback */
	unsigned refs;
	int fd;
	uint32_t next_id;
	struct str out;
	size_t out_at;
	struct pending *calls;
	bool is_lost, is_closed, wants_write;
	void (*lost)(void *arg);
	void *lost_arg;
	/* loop thread only */
	struct loop_io *io;
	struct ttrpc_reader reader;
};

static struct ttrpc_client *client_ref(struct ttrpc_client *c)
{
	pthread_mutex_lock(&c->lock);
	c->refs++;
	pthread_mutex_unlock(&c->lock);
	return c;
}

static void client_unref(struct ttrpc_client *c)
{
	pthread_mutex_lock(&c->lock);
	bool is_last = --c->refs == 0;
	pthread_mutex_unlock(&c->lock);
	if (!is_last)
		return;
	close_fd(&c->fd);
	ttrpc_reader_done(&c->reader);
	str_done(&c->out);
	pthread_mutex_destroy(&c->lock);
	FREE_SHARED(c);
}

/* With the lock held. */
static void unlink_call(struct pending *p)
{
	if (p->next)
		p->next->prev = p->prev;
	if (p->prev)
		p->prev->next = p->next;
	else
		p->client->calls = p->next;
	p->next = p->prev = NULL;
}

static struct pending *take_call(struct ttrpc_client *c, uint32_t id)
{
	pthread_mutex_lock(&c->lock);
	struct pending *p = c->calls;

	while (p && p->id != id)
		p = p->next;
	if (p)
		unlink_call(p);
	pthread_mutex_unlock(&c->lock);
	return p;
}

/* Loop thread; p is out of the list. */
static void call_end(struct pending *p, const struct err *e, const uint8_t *payload, size_t n)
{
	loop_timer_remove(p->timer);
	p->done(e, payload, n, p->arg);
	free(p);
}

static void call_end_posted(void *arg)
{
	struct pending *p = arg;

	call_end(p, &p->error, NULL, 0);
}

static void fail_all(struct ttrpc_client *c, enum err_code code, const char *text)
{
	for (;;) {
		struct err e = { 0 };

		pthread_mutex_lock(&c->lock);
		struct pending *p = c->calls;

		if (p)
			unlink_call(p);
		pthread_mutex_unlock(&c->lock);
		if (!p)
			return;
		err_set(&e, code, "%s", text);
		call_end(p, &e, NULL, 0);
	}
}

/* Loop thread: the socket is no longer watched. */
static void client_detach(struct ttrpc_client *c)
{
	if (!c->io)
		return;
	loop_io_remove(c->io);
	c->io = NULL;
	client_unref(c);
}

static void client_lose(struct ttrpc_client *c)
{
	pthread_mutex_lock(&c->lock);
	bool is_news = !c->is_lost && !c->is_closed;
	void (*lost)(void *arg) = c->lost;

	c->is_lost = true;
	pthread_mutex_unlock(&c->lock);
	client_ref(c);
	client_detach(c);
	fail_all(c, ERR_UNAVAILABLE, "ttrpc: closed");
	if (is_news && lost)
		lost(c->lost_arg);
	client_unref(c);
}

static void on_response(struct ttrpc_client *c, const struct ttrpc_frame *f)
{
	struct pending *p = take_call(c, f->stream);
	struct err e = { 0 };

	if (!p)
		return; /* late: its deadline has passed */
	if (f->is_too_long) {
		err_set(&e, ERR_RESOURCE_EXHAUSTED, "ttrpc: response of %zu bytes is too long",
			f->len);
		call_end(p, &e, NULL, 0);
		return;
	}

	Ttrpc__Response *r = ttrpc__response__unpack(NULL, f->len, f->body);

	if (!r)
		err_set(&e, ERR_INTERNAL, "ttrpc: response is no Response message");
	else if (r->status && r->status->code)
		err_set(&e,
			r->status->code > 0 && r->status->code <= ERR_UNAUTHENTICATED
				? (enum err_code)r->status->code
				: ERR_UNKNOWN,
			"%s", r->status->message);
	if (r && p->trace)
		trace_log_merge(p->trace, r->casco_trace);
	if (!r || e.code)
		call_end(p, &e, NULL, 0);
	else
		call_end(p, NULL, r->payload.data, r->payload.len);
	if (r)
		ttrpc__response__free_unpacked(r, NULL);
}

/* With the lock held: false when the peer is gone. */
static bool flush_locked(struct ttrpc_client *c)
{
	while (c->out_at < c->out.len) {
		ssize_t n = send(c->fd, c->out.ptr + c->out_at, c->out.len - c->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			str_compact(&c->out, &c->out_at);
			return true;
		}
		if (n < 0)
			return false;
		c->out_at += (size_t)n;
	}
	str_done(&c->out);
	c->out = STR_INIT(SIZE_MAX / 2);
	c->out_at = 0;
	return true;
}

static bool client_flush(struct ttrpc_client *c)
{
	pthread_mutex_lock(&c->lock);
	bool ok = flush_locked(c);
	bool more = c->out.len > 0;

	c->wants_write = more;
	pthread_mutex_unlock(&c->lock);
	if (c->io)
		loop_io_set(c->io, EPOLLIN | (more ? EPOLLOUT : 0));
	return ok;
}

static void on_socket(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct ttrpc_client *c = client_ref(arg);
	uint8_t buf[READ_SIZE];
	ssize_t n = 0;

	if (events & EPOLLOUT && !client_flush(c)) {
		client_lose(c);
		goto out;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		goto out;
	n = read(c->fd, buf, sizeof buf);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		goto out;
	if (n <= 0) {
		client_lose(c);
		goto out;
	}
	for (size_t at = 0; at < (size_t)n && c->io;) {
		struct ttrpc_frame f;
		bool has;

		at += ttrpc_reader_push(&c->reader, buf + at, (size_t)n - at, &f, &has);
		if (has && f.type == TTRPC_RESPONSE)
			on_response(c, &f);
	}
out:
	client_unref(c);
}

/* Posted functions each own a reference. */
static void attach_posted(void *arg)
{
	struct ttrpc_client *c = arg;

	if (loop_io_add(c->loop, c->fd, EPOLLIN, on_socket, c, &c->io) < 0) {
		client_lose(c);
	} else {
		client_ref(c);
		client_flush(c);
	}
	client_unref(c);
}

static void flush_posted(void *arg)
{
	struct ttrpc_client *c = arg;

	if (!client_flush(c))
		client_lose(c);
	client_unref(c);
}

static void close_posted(void *arg)
{
	struct ttrpc_client *c = arg;

	client_detach(c);
	fail_all(c, ERR_CANCELLED, "ttrpc: client closed");
	client_unref(c);
}

struct ttrpc_client *ttrpc_client_new(struct loop *l, int fd)
{
	struct ttrpc_client *c = NEW(struct ttrpc_client);

	*c = (struct ttrpc_client){
		.loop = l, .fd = fd, .refs = 2, .next_id = 1, .out = STR_INIT(SIZE_MAX / 2)
	};
	(void)fd_set_nonblock(fd, true); /* on a socket it cannot fail */
	pthread_mutex_init(&c->lock, NULL);
	loop_post(l, attach_posted, c);
	return c;
}

int ttrpc_client_connect(struct loop *l, const char *address, struct ttrpc_client **ret,
			 struct err *e)
{
	const char *path = str_starts(address, "unix://") ? address + 7 : address;

	if (path[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "address %s is no path of a unix socket",
			       address);

	int fd = socket_connect(path);

	if (fd < 0)
		return err_sys(e, -fd, "connect to %s", path);
	*ret = ttrpc_client_new(l, fd);
	return 0;
}

void ttrpc_client_on_lost(struct ttrpc_client *c, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&c->lock);
	c->lost = fn;
	c->lost_arg = arg;
	pthread_mutex_unlock(&c->lock);
}

void ttrpc_client_close(struct ttrpc_client *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->is_closed = true;
	pthread_mutex_unlock(&c->lock);
	loop_post(c->loop, close_posted, c); /* with the caller's reference */
}

bool ttrpc_client_is_lost(struct ttrpc_client *c)
{
	pthread_mutex_lock(&c->lock);
	bool r = c->is_lost || c->is_closed;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void on_timeout(UNUSED struct loop_timer *t, void *arg)
{
	struct pending *p = arg;
	struct err e = { 0 };

	/* The timer goes with the call, so p is still in the list: only the loop's thread and
	 * cancel take it out, and cancel's completion is posted behind us. */
	if (take_call(p->client, p->id) != p)
		return;
	err_set(&e, ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
	call_end(p, &e, NULL, 0);
}

struct timer_post {
	struct ttrpc_client *client;
	uint32_t id;
};

static void timer_posted(void *arg)
{
	struct timer_post *tp = arg;
	struct ttrpc_client *c = tp->client;

	pthread_mutex_lock(&c->lock);
	struct pending *p = c->calls;

	while (p && p->id != tp->id)
		p = p->next;
	/* Armed under the lock: a cancel from another thread posts its end behind us. */
	if (p)
		p->timer = loop_timer_add(c->loop, p->timeout, on_timeout, p);
	pthread_mutex_unlock(&c->lock);
	client_unref(c);
	free(tp);
}

static void add_metadata(Ttrpc__Request *q, Ttrpc__KeyValue *kv, const char *key, const char *value)
{
	ttrpc__key_value__init(kv);
	kv->key = (char *)key;
	kv->value = (char *)value;
	q->metadata[q->n_metadata++] = kv;
}

/* The bytes of a Request; *ret is the caller's.  span: the peer's parent, if it is set. */
static size_t request_pack(const struct ttrpc_target *t, const ProtobufCMessage *req,
			   const struct trace_id *span, bool wants_trace, uint8_t **ret)
{
	Ttrpc__Request q = TTRPC__REQUEST__INIT;
	Ttrpc__KeyValue kv[3], *kvs[] = { &kv[0], &kv[1], &kv[2] };
	char parent[TRACE_PARENT];
	AUTO_FREE uint8_t *payload = NULL;

	q.service = (char *)t->service;
	q.method = (char *)t->method;
	q.payload.len = protobuf_c_message_get_packed_size(req);
	q.payload.data = payload = xmalloc(q.payload.len + 1);
	protobuf_c_message_pack(req, payload);
	q.timeout_nano = (int64_t)t->timeout;
	q.metadata = kvs;
	if (t->ns)
		add_metadata(&q, &kv[0], TTRPC_NAMESPACE_KEY, t->ns);
	if (span && span->is_set) {
		trace_print(span, parent);
		add_metadata(&q, &kv[q.n_metadata], "traceparent", parent);
	}
	if (wants_trace)
		add_metadata(&q, &kv[q.n_metadata], TRACE_ASK, "1");

	size_t n = ttrpc__request__get_packed_size(&q);

	*ret = xmalloc(n);
	ttrpc__request__pack(&q, *ret);
	return n;
}

static uint32_t call_start(struct ttrpc_client *c, const struct ttrpc_target *t,
			   const ProtobufCMessage *req, const struct trace_id *span,
			   struct str *trace, bool loop_watches, ttrpc_done_fn *done, void *arg)
{
	AUTO_FREE uint8_t *body = NULL;
	size_t n = request_pack(t, req, span, trace, &body);
	struct pending *p = NEW(struct pending);
	bool is_dead, post_flush = false;
	uint32_t id;

	*p = (struct pending){
		.client = c,
		.done = done,
		.arg = arg,
		.timeout = loop_watches ? t->timeout : 0,
		.trace = trace,
	};

	/* The id and its frame under one lock: ids must rise on the wire. */
	pthread_mutex_lock(&c->lock);
	id = p->id = c->next_id;
	c->next_id += 2;
	is_dead = c->is_lost || c->is_closed;
	if (n <= TTRPC_MAX_BODY && !is_dead) {
		bool was_idle = !c->out.len;

		p->next = c->calls;
		if (c->calls)
			c->calls->prev = p;
		c->calls = p;
		ttrpc_frame_add(&c->out, id, TTRPC_REQUEST, 0, body, n);
		if (was_idle)
			post_flush = !flush_locked(c) || c->out.len;
		if (post_flush)
			c->refs++;
		if (p->timeout)
			c->refs++;
	}
	pthread_mutex_unlock(&c->lock);
	if (n > TTRPC_MAX_BODY || is_dead) {
		if (is_dead)
			err_set(&p->error, ERR_UNAVAILABLE, "ttrpc: closed");
		else
			err_set(&p->error, ERR_RESOURCE_EXHAUSTED,
				"ttrpc: request of %zu bytes is too long", n);
		loop_post(c->loop, call_end_posted, p);
		return id;
	}
	if (post_flush)
		loop_post(c->loop, flush_posted, c);
	if (loop_watches && t->timeout) {
		struct timer_post *tp = NEW(struct timer_post);

		*tp = (struct timer_post){ c, id };
		loop_post(c->loop, timer_posted, tp);
	}
	return id;
}

uint32_t ttrpc_client_call(struct ttrpc_client *c, const struct ttrpc_target *t,
			   const ProtobufCMessage *req, ttrpc_done_fn *done, void *arg)
{
	return call_start(c, t, req, trace_current(), NULL, true, done, arg);
}

static void cancel(struct pending *p)
{
	err_set(&p->error, ERR_CANCELLED, "context canceled");
	loop_post(p->client->loop, call_end_posted, p);
}

void ttrpc_client_cancel(struct ttrpc_client *c, uint32_t id)
{
	struct pending *p = take_call(c, id);

	if (p)
		cancel(p);
}

void ttrpc_client_cancel_all(struct ttrpc_client *c)
{
	struct pending *p;

	pthread_mutex_lock(&c->lock);
	while ((p = c->calls)) {
		unlink_call(p);
		cancel(p);
	}
	pthread_mutex_unlock(&c->lock);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool is_done;
	const ProtobufCMessageDescriptor *want;
	ProtobufCMessage *rsp;
	struct err error;
};

static void waiter_done(const struct err *e, const uint8_t *payload, size_t n, void *arg)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock);
	if (e)
		w->error = *e;
	else if (w->want && !(w->rsp = protobuf_c_message_unpack(w->want, NULL, n, payload)))
		err_set(&w->error, ERR_INTERNAL, "ttrpc: response is no %s", w->want->name);
	w->is_done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* false: the time is over */
static bool waiter_wait(struct waiter *w, uint64_t timeout)
{
	struct timespec at;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(timeout / 1000000000u);
	at.tv_nsec += (long)(timeout % 1000000000u);
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->is_done && r != ETIMEDOUT)
		r = timeout ? pthread_cond_timedwait(&w->cond, &w->lock, &at)
			    : pthread_cond_wait(&w->cond, &w->lock);
	bool is_done = w->is_done;

	pthread_mutex_unlock(&w->lock);
	return is_done;
}

static void note_span(const struct trace_span *s, const struct ttrpc_target *t, const struct err *e)
{
	char text[1100];
	struct trace_call c = { .kind = TRACE_CLIENT,
				.system = "ttrpc",
				.service = t->service,
				.method = t->method,
				.ns = t->ns,
				.code = (unsigned)e->code,
				.error = e->code ? err_text(e, text, sizeof text) : NULL };

	trace_end(s, &c);
}

static void note_steps(const char *method, uint64_t begin, const struct str *theirs)
{
	AUTO_FREE char *name = xasprintf("call of the shim: %s", method);

	trace_log_add(name, begin, trace_now());
	trace_log_merge(trace_log(), str_c(theirs));
}

int ttrpc_client_call_wait(struct ttrpc_client *c, const struct ttrpc_target *t,
			   const ProtobufCMessage *req, const ProtobufCMessageDescriptor *rsp,
			   ProtobufCMessage **ret, struct err *e)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .want = rsp };
	struct trace_span span = { 0 };
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.cond, &attr);
	pthread_condattr_destroy(&attr);
	client_ref(c);

	if (trace_current()) /* no spans of what no request asked for */
		trace_begin(&span, trace_current());
	struct str *log = trace_log();
	AUTO_STR struct str theirs = STR_INIT(TRACE_LOG_MAX);
	uint64_t begin = log ? trace_now() : 0;
	uint32_t id = call_start(c, t, req, &span.id, log ? &theirs : NULL, false, waiter_done, &w);

	if (!waiter_wait(&w, t->timeout)) {
		struct pending *p = take_call(c, id);

		if (p) {
			free(p);
			err_set(&w.error, ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
		} else {
			waiter_wait(&w, 0); /* its end is on the way */
		}
	}
	client_unref(c);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	if (log)
		note_steps(t->method, begin, &theirs);
	if (span.id.is_set)
		note_span(&span, t, &w.error);
	if (w.error.code)
		return err_copy(e, &w.error);
	if (ret)
		*ret = w.rsp;
	else if (w.rsp)
		protobuf_c_message_free_unpacked(w.rsp, NULL);
	return 0;
}
