/* One call of the server: the handler's view (wire/rpc.h) and its life on two threads. */
#include "wire/grpc_conn.h"

#include "base/str.h"
#include "loop/loop.h"

#include <string.h>

/* What a worker asks the loop to do; posted in order. */
struct op {
	struct grpc_call *k;
	uint8_t *data;
	size_t n;
	struct err e;
};

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream_id)
{
	struct grpc_call *k = NEW(struct grpc_call);

	k->env = c->env;
	k->conn = c;
	k->stream_id = stream_id;
	k->refs = 1;
	k->out_tail = &k->out;
	k->in_tail = &k->in;
	k->rpc.arena = arena_new();
	k->rpc.user = c->env->user;
	k->rpc.cancel = &k->cancel;
	k->rpc.peer_pid = c->peer.pid;
	k->rpc.peer_uid = c->peer.uid;
	k->rpc.peer_gid = c->peer.gid;
	k->rpc.started = loop_now();
	cancel_init(&k->cancel);
	grpc_reader_init(&k->reader, c->env->max_recv ?: GRPC_MAX_MESSAGE);
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->changed, NULL);
	k->next = c->calls;
	if (k->next)
		k->next->prev = k;
	c->calls = k;
	c->n_calls++;
	c->env->calls++;
	return k;
}

static size_t max_send(const struct grpc_call *k)
{
	return k->env->max_send ?: GRPC_MAX_MESSAGE;
}

void grpc_call_unref(struct grpc_call *k)
{
	if (--k->refs)
		return;

	struct grpc_env *env = k->env;

	if (k->conn) {
		if (k->next)
			k->next->prev = k->prev;
		if (k->prev)
			k->prev->next = k->next;
		else
			k->conn->calls = k->next;
		k->conn->n_calls--;
	}
	grpc_call_drop_input(k);
	grpc_out_free(k);
	grpc_reader_done(&k->reader);
	free(k->encoded);
	if (k->trace)
		str_done(k->trace);
	free(k->trace);
	cancel_done(&k->cancel);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->changed);
	arena_free(k->recv_arena);
	arena_free(k->rpc.arena);
	free(k);
	env->calls--;
	env->call_gone(env);
}

static const struct rpc_service *find_service(const struct rpc_service *s, const char *name,
					      size_t n)
{
	for (; s->name; s++)
		if (strlen(s->name) == n && memcmp(s->name, name, n) == 0)
			return s;
	return NULL;
}

int grpc_call_find(struct grpc_call *k, struct err *e)
{
	const char *path = k->head.path, *slash = strrchr(path, '/');

	if (*path != '/' || slash == path)
		return err_set(e, ERR_UNIMPLEMENTED, "malformed method name: \"%.200s\"", path);

	int n = (int)(slash - path - 1);
	const struct rpc_service *s = find_service(k->env->services, path + 1, (size_t)n);
	if (!s)
		return err_set(e, ERR_UNIMPLEMENTED, "unknown service %.*s", n > 300 ? 300 : n,
			       path + 1);
	for (const struct rpc_method *m = s->methods; m->name; m++)
		if (strcmp(m->name, slash + 1) == 0) {
			k->rpc.service = s;
			k->rpc.method = m;
			return 0;
		}
	return err_set(e, ERR_UNIMPLEMENTED, "unknown method %.200s for service %s", slash + 1,
		       s->name);
}

static bool one_request(const struct grpc_call *k)
{
	enum rpc_kind kind = k->rpc.method->kind;

	return kind == RPC_KIND_UNARY || kind == RPC_KIND_SERVER_STREAM;
}

static bool one_response(const struct grpc_call *k)
{
	enum rpc_kind kind = k->rpc.method->kind;

	return kind == RPC_KIND_UNARY || kind == RPC_KIND_CLIENT_STREAM;
}

/* The only request message; the bytes go as soon as they are decoded. */
static int take_request(struct grpc_call *k, void **ret, struct err *e)
{
	pthread_mutex_lock(&k->lock);
	AUTO_FREE struct grpc_msg *msg = TAKE_PTR(k->in);
	k->in_tail = &k->in;
	k->in_bytes = 0;
	pthread_mutex_unlock(&k->lock);
	if (!msg) /* dropped by a cancel */
		return err_set(e, ERR_CANCELLED, "context canceled");
	return grpc_decode(k->rpc.method->request, k->rpc.arena, msg->data, msg->len, ret, e);
}

static void finish(struct grpc_call *k, const void *rsp, const struct err *e, bool add_class);

/* Threads that may stand still for the call's client. */
static unsigned waits_of(const struct rpc_method *m)
{
	return m->kind == RPC_KIND_UNARY ? m->waits : 1;
}

static void leave_thread(void *arg)
{
	grpc_call_unref(arg);
}

/* The handler, in its span.  k may be gone afterwards, where it was parked. */
static int run_handler(struct grpc_call *k, const void *req, void *rsp, struct err *e)
{
	rpc_fn *fn = k->rpc.method->fn;
	struct trace_id parent;

	if (!trace_is_on() && !k->trace)
		return fn(&k->rpc, req, rsp, e);
	if (k->trace) {
		uint64_t begin = trace_now();

		trace_log_enter(k->trace, "containerd");
		int r = fn(&k->rpc, req, rsp, e);

		if (r != RPC_PARKED)
			trace_log_add(k->rpc.method->name, begin, trace_now());
		trace_log_enter(NULL, NULL);
		return r;
	}
	trace_parse(rpc_meta(&k->rpc, "traceparent"), &parent);
	trace_begin(&k->rpc.span, &parent);
	trace_enter(&k->rpc.span.id);
	int r = fn(&k->rpc, req, rsp, e);

	trace_enter(NULL);
	return r;
}

static void note_end(struct grpc_call *k, const struct err *e)
{
	char text[1100];
	struct trace_call c = { .kind = TRACE_SERVER,
				.system = "grpc",
				.service = k->rpc.service ? k->rpc.service->name : "",
				.method = k->rpc.method ? k->rpc.method->name : "",
				.ns = rpc_meta(&k->rpc, "containerd-namespace"),
				.code = e ? (unsigned)e->code : 0,
				.error = e ? err_text(e, text, sizeof text) : NULL };

	trace_end(&k->rpc.span, &c);
}

static void run_call(void *arg)
{
	struct grpc_call *k = arg;
	const struct rpc_method *m = k->rpc.method;
	struct grpc_env *env = k->env;
	void *req = NULL, *rsp = NULL;
	struct err e = { 0 };
	int r = cancel_check(&k->cancel, &e);

	if (m->kind == RPC_KIND_UNARY && rpc_meta(&k->rpc, TRACE_ASK)) {
		k->trace = NEW(struct str);
		*k->trace = STR_INIT(TRACE_LOG_MAX);
	}
	if (r == 0 && one_request(k))
		r = take_request(k, &req, &e);
	bool is_handlers = r == 0;
	if (one_response(k)) {
		rsp = arena_alloc(k->rpc.arena, m->response->sizeof_message);
		m->response->message_init(rsp);
	}
	if (r == 0)
		r = run_handler(k, req, rsp, &e);
	if (r != RPC_PARKED) /* else k is somebody else's to finish */
		finish(k, rsp, r < 0 ? &e : NULL, is_handlers);
	if (!waits_of(m))
		return;
	/* env is there for as long as a call is: for this one, until the loop has let go of it */
	atomic_fetch_sub(&env->waiting, waits_of(m));
	env->post(env, leave_thread, k);
}

/* Clients that hang must not have all threads. */
static bool may_wait(struct grpc_call *k)
{
	unsigned n = waits_of(k->rpc.method);

	if (!n || atomic_fetch_add(&k->env->waiting, n) + n <= GRPC_MAX_WAITING)
		return true;
	atomic_fetch_sub(&k->env->waiting, n);
	return false;
}

void grpc_call_dispatch(struct grpc_call *k)
{
	if (!may_wait(k)) {
		struct err e = { 0 };

		if (k->rpc.method->kind == RPC_KIND_UNARY)
			(void)err_set(&e, ERR_RESOURCE_EXHAUSTED, "too many calls of %s at once",
				      k->rpc.method->name);
		else
			(void)err_set(&e, ERR_RESOURCE_EXHAUSTED, "%d streams are being served",
				      GRPC_MAX_WAITING);
		grpc_out_end(k, &e);
		return;
	}
	k->is_dispatched = true;
	if (k->env->start)
		k->env->start(&k->rpc);
	k->refs++;
	if (waits_of(k->rpc.method))
		k->refs++; /* the thread's, which looks at env last */
	if (k->rpc.method->is_immediate)
		run_call(k);
	else
		k->env->run(k->env, run_call, k);
}

const char *rpc_meta(const struct rpc_call *c, const char *name)
{
	const struct grpc_call *k = (const struct grpc_call *)c;

	for (const struct meta *m = k->meta; m; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m->value;
	return NULL;
}

static void post(struct grpc_call *k, void (*fn)(void *), uint8_t *data, size_t n,
		 const struct err *e)
{
	struct op *op = NEW(struct op);

	*op = (struct op){ .k = k, .data = data, .n = n };
	if (e)
		op->e = *e;
	if (k->rpc.method->is_immediate)
		fn(op); /* we are on the loop's thread */
	else
		k->env->post(k->env, fn, op);
}

static void op_finish(void *arg)
{
	struct op *op = arg;
	struct grpc_call *k = op->k;

	if (op->data && op->e.code == ERR_OK)
		grpc_out_data(k, op->data, op->n);
	else
		free(op->data);
	grpc_out_end(k, op->e.code ? &op->e : NULL);
	grpc_call_unref(k);
	free(op);
}

/* add_class: e is a handler's; the transport's own errors go without class text, as grpc-go's do.
 */
static void finish(struct grpc_call *k, const void *rsp, const struct err *e, bool add_class)
{
	struct err failed = { 0 }, said = { 0 };
	uint8_t *data = NULL;
	size_t n = 0;

	pthread_mutex_lock(&k->lock);
	if (k->is_finished)
		BUG("a call is finished twice");
	k->is_finished = true;
	k->on_cancel = k->on_writable = k->on_readable = (struct hook){ 0 };
	pthread_mutex_unlock(&k->lock);
	if (k->encoded && !e) {
		data = TAKE_PTR(k->encoded);
		n = k->n_encoded;
	} else if (!e && rsp && one_response(k) &&
		   grpc_encode(rsp, max_send(k), &data, &n, &failed) < 0) {
		e = &failed;
	}
	if (k->env->log)
		k->env->log(&k->rpc, e);
	if (k->rpc.span.id.is_set)
		note_end(k, e);
	if (e && add_class) {
		said.code = e->code;
		err_text(e, said.msg, sizeof said.msg);
		e = &said;
	}
	post(k, op_finish, data, n, e);
}

void rpc_finish(struct rpc_call *c, const void *rsp, const struct err *e)
{
	finish((struct grpc_call *)c, rsp, e, true);
}

int rpc_encode(struct rpc_call *c, const void *rsp, struct err *e)
{
	struct grpc_call *k = (struct grpc_call *)c;

	return grpc_encode(rsp, max_send(k), &k->encoded, &k->n_encoded, e);
}

static void run_hook(struct grpc_call *k, struct hook h)
{
	if (h.fn)
		h.fn(&k->rpc, h.arg);
}

void rpc_on_cancel(struct rpc_call *c, rpc_hook_fn *fn, void *arg)
{
	struct grpc_call *k = (struct grpc_call *)c;
	struct hook h = { fn, arg };

	pthread_mutex_lock(&k->lock);
	bool now = k->is_cancelled;
	if (!now)
		k->on_cancel = h;
	pthread_mutex_unlock(&k->lock);
	if (now)
		run_hook(k, h);
}

void rpc_on_writable(struct rpc_call *c, rpc_hook_fn *fn, void *arg)
{
	struct grpc_call *k = (struct grpc_call *)c;

	pthread_mutex_lock(&k->lock);
	k->on_writable = (struct hook){ fn, arg };
	pthread_mutex_unlock(&k->lock);
}

void rpc_on_readable(struct rpc_call *c, rpc_hook_fn *fn, void *arg)
{
	struct grpc_call *k = (struct grpc_call *)c;

	pthread_mutex_lock(&k->lock);
	k->on_readable = (struct hook){ fn, arg };
	pthread_mutex_unlock(&k->lock);
}

/* Under the lock: the hook, if it is owed a call. */
static struct hook readable_hook(struct grpc_call *k)
{
	struct hook h = k->wants_readable ? k->on_readable : (struct hook){ 0 };

	k->wants_readable = false;
	return h;
}

static void op_headers(void *arg)
{
	struct op *op = arg;

	grpc_out_headers(op->k);
	free(op);
}

void rpc_headers(struct rpc_call *c)
{
	post((struct grpc_call *)c, op_headers, NULL, 0, NULL);
}

static void op_data(void *arg)
{
	struct op *op = arg;

	grpc_out_data(op->k, op->data, op->n);
	free(op);
}

static int send_message(struct grpc_call *k, const void *msg, bool block, struct err *e)
{
	AUTO_FREE uint8_t *data = NULL;
	size_t n;

	if (grpc_encode(msg, max_send(k), &data, &n, e) < 0)
		return -1;
	pthread_mutex_lock(&k->lock);
	while (block && k->out_pending >= RPC_SEND_WINDOW && !k->is_cancelled)
		pthread_cond_wait(&k->changed, &k->lock);
	bool room = k->out_pending < RPC_SEND_WINDOW && !k->is_cancelled;
	if (room)
		k->out_pending += n;
	else
		k->wants_writable = !block;
	pthread_mutex_unlock(&k->lock);
	if (cancel_check(&k->cancel, e) < 0)
		return -1;
	if (!room)
		return 0;
	post(k, op_data, TAKE_PTR(data), n, NULL);
	return 1;
}

int rpc_send(struct rpc_call *c, const void *msg, struct err *e)
{
	return send_message((struct grpc_call *)c, msg, true, e) < 0 ? -1 : 0;
}

int rpc_try_send(struct rpc_call *c, const void *msg, struct err *e)
{
	return send_message((struct grpc_call *)c, msg, false, e);
}

void grpc_call_sent(struct grpc_call *k, size_t n)
{
	struct hook h = { 0 };

	pthread_mutex_lock(&k->lock);
	k->out_pending -= n < k->out_pending ? n : k->out_pending;
	if (k->out_pending <= RPC_SEND_WINDOW / 2) {
		pthread_cond_broadcast(&k->changed);
		if (k->wants_writable)
			h = k->on_writable;
		k->wants_writable = false;
	}
	pthread_mutex_unlock(&k->lock);
	run_hook(k, h);
}

static void op_taken(void *arg)
{
	struct op *op = arg;
	struct grpc_call *k = op->k;

	if (k->conn) {
		size_t n = op->n < k->charged ? op->n : k->charged;

		k->charged -= n;
		k->conn->buffered -= n;
	}
	grpc_out_consume(k);
	free(op);
}

static int recv_message(struct grpc_call *k, bool block, const void **ret, struct err *e)
{
	AUTO_FREE struct grpc_msg *msg = NULL;
	struct err failed = { 0 };

	pthread_mutex_lock(&k->lock);
	while (block && !k->in && !k->in_eof && !k->in_error.code && !k->is_cancelled)
		pthread_cond_wait(&k->changed, &k->lock);
	msg = k->in;
	if (msg) {
		k->in = msg->next;
		k->in_bytes -= msg->len;
		if (!k->in)
			k->in_tail = &k->in;
	}
	bool eof = k->in_eof;
	k->wants_readable = !msg && !eof && !block;
	failed = k->in_error;
	pthread_mutex_unlock(&k->lock);

	if (cancel_check(&k->cancel, e) < 0)
		return -1;
	if (!msg && failed.code)
		return err_copy(e, &failed);
	if (!msg)
		return eof ? 0 : RPC_AGAIN;
	post(k, op_taken, NULL, msg->len + GRPC_PREFIX, NULL);
	arena_free(k->recv_arena);
	k->recv_arena = arena_new();
	void *m;
	if (grpc_decode(k->rpc.method->request, k->recv_arena, msg->data, msg->len, &m, e) < 0)
		return -1;
	*ret = m;
	return 1;
}

int rpc_recv(struct rpc_call *c, const void **ret, struct err *e)
{
	return recv_message((struct grpc_call *)c, true, ret, e);
}

int rpc_try_recv(struct rpc_call *c, const void **ret, struct err *e)
{
	return recv_message((struct grpc_call *)c, false, ret, e);
}

void grpc_call_arrived(struct grpc_call *k, struct grpc_msg *msg)
{
	pthread_mutex_lock(&k->lock);
	*k->in_tail = msg;
	k->in_tail = &msg->next;
	k->in_bytes += msg->len;
	struct hook h = readable_hook(k);
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	run_hook(k, h);
}

void grpc_call_input_end(struct grpc_call *k, const struct err *error)
{
	pthread_mutex_lock(&k->lock);
	if (error && !k->in_error.code)
		k->in_error = *error;
	k->in_eof = !error;
	struct hook h = readable_hook(k);
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	run_hook(k, h);
}

/* Frees what the handler has not taken, and its charge. */
void grpc_call_drop_input(struct grpc_call *k)
{
	pthread_mutex_lock(&k->lock);
	struct grpc_msg *m = TAKE_PTR(k->in);
	k->in_tail = &k->in;
	k->in_bytes = 0;
	pthread_mutex_unlock(&k->lock);
	while (m) {
		struct grpc_msg *next = m->next;

		free(m);
		m = next;
	}
	if (k->conn)
		k->conn->buffered -= k->charged;
	k->charged = 0;
}

void grpc_call_cancel(struct grpc_call *k, enum err_code code)
{
	cancel_set(&k->cancel, code);
	pthread_mutex_lock(&k->lock);
	bool first = !k->is_cancelled && !k->is_finished;
	k->is_cancelled = true;
	struct hook cancelled = first ? k->on_cancel : (struct hook){ 0 };
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	run_hook(k, cancelled);

	pthread_mutex_lock(&k->lock); /* the first hook may have finished the call */
	struct hook h = readable_hook(k);
	pthread_mutex_unlock(&k->lock);
	run_hook(k, h);
}
