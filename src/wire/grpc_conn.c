/* HTTP/2 frames of one client: what nghttp2 makes of the bytes, and the bounds it does not know. */
#include "wire/grpc_conn.h"

#include "loop/loop.h"
#include "wire/grpc_header.h"

#include <string.h>

/* Control frames cost 1 (a window change 1 for 16 streams), what the client gets done earns it
 * back: each DATA frame that we send is answered by up to 3 frames (PING for the client's
 * bandwidth estimate, two WINDOW_UPDATEs). */
enum { BUDGET_MAX = 10000, BUDGET_PER_SEC = 1000, EARN_DATA = 4, EARN_ANSWER = 3 };

/* Our answers that may wait for a client that does not read, before we stop to read from it. */
enum { OUTBOUND_MAX = 4096 };

static void charge(struct grpc_conn *c, int64_t cost)
{
	c->budget -= cost;
	if (c->budget >= 0)
		return;

	uint64_t now = loop_now();
	uint64_t refill = (now - c->budget_at) / (1000000000u / BUDGET_PER_SEC);

	c->budget += refill > BUDGET_MAX ? BUDGET_MAX : (int64_t)refill;
	c->budget_at = now;
	if (c->budget >= 0 || c->is_broken)
		return;
	c->is_broken = true;
	(void)nghttp2_session_terminate_session(c->ng, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void earn(struct grpc_conn *c, int64_t n)
{
	c->budget = c->budget + n < BUDGET_MAX ? c->budget + n : BUDGET_MAX;
}

static int on_begin_frame(UNUSED nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct grpc_conn *c = user;

	if (hd->type == NGHTTP2_SETTINGS)
		charge(c, 1 + c->n_streams / 16);
	else if (hd->type != NGHTTP2_DATA)
		charge(c, 1);
	else if (hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
		charge(c, 1);
	return 0;
}

static int on_invalid_frame(UNUSED nghttp2_session *ng, UNUSED const nghttp2_frame *f,
			    UNUSED int code, void *user)
{
	charge(user, 16);
	return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
	struct grpc_conn *c = user;
	int32_t id = f->hd.stream_id;

	if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	/* Calls whose streams were reset still run: they count, too (rapid reset). */
	if (c->n_calls >= 2 * GRPC_MAX_STREAMS || c->queued > GRPC_MAX_BUFFERED || c->is_broken)
		return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);

	struct grpc_call *k = grpc_call_new(c, id);
	c->n_streams++;
	return nghttp2_session_set_stream_user_data(ng, id, k);
}

static void add_meta(struct grpc_call *k, const char *name, const char *value)
{
	struct meta *m = ARENA_NEW(k->rpc.arena, struct meta), **at = &k->meta;

	*m = (struct meta){ name, value, NULL };
	while (*at)
		at = &(*at)->next;
	*at = m;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name, size_t nn,
		     const uint8_t *value, size_t vn, UNUSED uint8_t flags, UNUSED void *user)
{
	struct grpc_call *k = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);

	if (!k)
		return 0;
	k->header_bytes += nn + vn + 32;
	if (k->header_bytes > GRPC_MAX_HEADER_LIST)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM; trailers count */
	if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;

	const struct {
		const char *name;
		char **at;
	} own[] = {
		{ ":method", &k->head.method },
		{ ":path", &k->head.path },
		{ "content-type", &k->head.content_type },
		{ "grpc-encoding", &k->head.encoding },
		{ "grpc-timeout", &k->head.timeout },
	};
	char *n = arena_strndup(k->rpc.arena, (const char *)name, nn);
	char *v = arena_strndup(k->rpc.arena, (const char *)value, vn);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(n, own[i].name) == 0 && !*own[i].at) {
			*own[i].at = v;
			return 0;
		}
	if (*n != ':')
		add_meta(k, n, v);
	return 0;
}

static int set_deadline(struct grpc_call *k)
{
	struct grpc_conn *c = k->conn;
	uint64_t ns, now = loop_now();

	if (!k->head.timeout)
		return 0;
	if (grpc_timeout_parse(k->head.timeout, &ns) < 0)
		return -1;
	if (__builtin_add_overflow(now, ns, &k->rpc.deadline))
		return 0; /* in some centuries */
	if (!c->soonest || k->rpc.deadline < c->soonest) {
		c->soonest = k->rpc.deadline;
		c->env->wake(c);
	}
	return 0;
}

/* The type is "application/grpc", alone or with "+proto" or ";…" behind it. */
static bool is_grpc(const char *type)
{
	static const char want[] = "application/grpc";
	size_t n = sizeof want - 1;

	return type && strncmp(type, want, n) == 0 &&
	       (!type[n] || type[n] == '+' || type[n] == ';');
}

static void request_headers(struct grpc_call *k)
{
	struct err e = { 0 };

	if (!k->head.method || strcmp(k->head.method, "POST") != 0) {
		(void)err_set(&e, ERR_INTERNAL,
			      "http2Server.operateHeaders parsed a :method field: \"%.40s\" which "
			      "should be POST",
			      k->head.method ?: "");
		grpc_out_http_error(k, "405", &e);
	} else if (!is_grpc(k->head.content_type)) {
		(void)err_set(&e, ERR_INVALID_ARGUMENT,
			      "invalid gRPC request content-type \"%.100s\"",
			      k->head.content_type ?: "");
		grpc_out_http_error(k, "415", &e);
	} else if (set_deadline(k) < 0) {
		(void)err_set(&e, ERR_INTERNAL, "malformed grpc-timeout: \"%.40s\"",
			      k->head.timeout);
		grpc_out_http_error(k, "400", &e);
	} else if (!k->head.path || grpc_call_find(k, &e) < 0) {
		grpc_out_end(k, &e);
	} else if (k->head.encoding && strcmp(k->head.encoding, "identity") != 0) {
		(void)err_set(&e, ERR_UNIMPLEMENTED,
			      "grpc: Decompressor is not installed for grpc-encoding \"%.40s\"",
			      k->head.encoding);
		grpc_out_end(k, &e);
	} else if (k->rpc.method->kind == RPC_KIND_CLIENT_STREAM ||
		   k->rpc.method->kind == RPC_KIND_BIDI_STREAM) {
		grpc_call_dispatch(k);
	}
}

/* What the client sent is no sequence of messages: a running handler learns it from rpc_recv(). */
static void input_failed(struct grpc_call *k, const struct err *e)
{
	k->in_closed = true;
	if (k->is_dispatched)
		grpc_call_input_end(k, e);
	else
		grpc_out_end(k, e);
}

static void input_end(struct grpc_call *k)
{
	struct err e = { 0 };
	bool was_closed = k->in_closed;

	k->in_closed = true;
	if (was_closed || k->is_ending || k->end_sent)
		return;
	if (grpc_reader_is_mid(&k->reader)) {
		(void)err_set(&e, ERR_INTERNAL, "unexpected EOF");
		input_failed(k, &e);
	} else if (k->is_dispatched) {
		grpc_call_input_end(k, NULL);
	} else if (k->n_messages == 1) {
		grpc_call_dispatch(k);
	} else {
		(void)err_set(&e, ERR_INTERNAL,
			      "cardinality violation: received %s from non-client-streaming RPC",
			      k->n_messages ? "multiple request messages" : "no request message");
		grpc_out_end(k, &e);
	}
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *f, UNUSED void *user)
{
	struct grpc_call *k = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);

	if (!k || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
		request_headers(k);
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		input_end(k);
	return 0;
}

static void take_bytes(struct grpc_call *k, const uint8_t *p, size_t n)
{
	struct err e = { 0 };

	while (n) {
		struct grpc_msg *msg = NULL;
		size_t used = 0;
		int r = grpc_reader_feed(&k->reader, p, n, &used, &msg, &e);

		if (r < 0) {
			input_failed(k, &e);
			return;
		}
		p += used;
		n -= used;
		if (r == 0)
			continue;
		k->n_messages++;
		if (k->n_messages > 1 && !k->is_dispatched) {
			free(msg); /* input_end() complains */
			continue;
		}
		grpc_call_arrived(k, msg);
	}
}

static int on_data(nghttp2_session *ng, UNUSED uint8_t flags, int32_t id, const uint8_t *p,
		   size_t n, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *k = nghttp2_session_get_stream_user_data(ng, id);

	(void)nghttp2_session_consume_connection(ng, n);
	if (!k || k->in_closed || k->is_ending || k->end_sent) {
		(void)nghttp2_session_consume_stream(ng, id, n);
		return 0;
	}
	earn(c, 1);
	k->held += n;
	k->charged += n;
	c->buffered += n;
	if (c->buffered > GRPC_MAX_BUFFERED) {
		struct err e = { 0 };

		(void)err_set(&e, ERR_RESOURCE_EXHAUSTED,
			      "too many bytes of one connection wait for their handlers");
		grpc_out_end(k, &e);
		grpc_call_drop_input(k);
		grpc_call_cancel(k, ERR_CANCELLED);
		return 0;
	}
	take_bytes(k, p, n);
	grpc_out_consume(k);
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, UNUSED uint32_t code, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *k = nghttp2_session_get_stream_user_data(ng, id);

	if (!k)
		return 0;
	k->stream_id = 0;
	c->n_streams--;
	grpc_call_drop_input(k);
	grpc_reader_done(&k->reader);
	grpc_out_free(k);
	grpc_call_cancel(k, ERR_CANCELLED);
	grpc_call_unref(k);
	return 0;
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
	struct grpc_conn *c = user;

	if (f->hd.type == NGHTTP2_DATA && f->hd.length)
		earn(c, EARN_DATA);
	if (f->hd.type != NGHTTP2_HEADERS || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	earn(c, EARN_ANSWER);
	/* The answer is complete: a client that still sends must stop, or the stream stays. */
	if (nghttp2_session_get_stream_remote_close(ng, f->hd.stream_id) == 0)
		(void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, f->hd.stream_id,
						NGHTTP2_NO_ERROR);
	return 0;
}

static ssize_t on_send(UNUSED nghttp2_session *ng, const uint8_t *p, size_t n, UNUSED int flags,
		       void *user)
{
	struct grpc_conn *c = user;

	if (c->out.n >= c->out.enough)
		return NGHTTP2_ERR_WOULDBLOCK;
	if (n > GRPC_FRAME_MAX)
		n = GRPC_FRAME_MAX;
	memcpy(c->out.p + c->out.n, p, n);
	c->out.n += n;
	return (ssize_t)n;
}

static nghttp2_session *new_session(struct grpc_conn *c)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *ng;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		BUG("out of memory");
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, grpc_out_frame);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_stream_reset_rate_limit(opt, 1000, 100);
	if (nghttp2_session_server_new2(&ng, cb, c, opt))
		BUG("out of memory");
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return ng;
}

struct grpc_conn *grpc_conn_new(struct grpc_env *env, void *owner)
{
	struct grpc_conn *c = NEW(struct grpc_conn);
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_MAX_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 16384 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_MAX_HEADER_LIST },
	};

	c->env = env;
	c->owner = owner;
	c->budget = BUDGET_MAX;
	c->budget_at = loop_now();
	c->ng = new_session(c);
	if (nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE, 0, 4 * GRPC_WINDOW))
		BUG("nghttp2 refuses our settings");
	return c;
}

void grpc_conn_free(struct grpc_conn *c)
{
	if (!c)
		return;
	nghttp2_session_del(c->ng); /* calls no callback */
	c->ng = NULL;
	for (struct grpc_call *k = c->calls, *next; k; k = next) {
		bool has_stream = k->stream_id != 0;

		next = k->next;
		k->conn = NULL;
		k->stream_id = 0;
		k->charged = 0;
		k->next = k->prev = NULL;
		grpc_call_drop_input(k);
		grpc_call_cancel(k, ERR_CANCELLED);
		if (has_stream)
			grpc_call_unref(k);
	}
	free(c);
}

int grpc_conn_input(struct grpc_conn *c, const uint8_t *p, size_t n)
{
	if (c->is_broken)
		return -1;

	ssize_t r = nghttp2_session_mem_recv(c->ng, p, n);
	if (r < 0)
		c->is_broken = true;
	return c->is_broken ? -1 : 0;
}

ssize_t grpc_conn_output(struct grpc_conn *c, uint8_t *buf, size_t enough)
{
	c->out.p = buf;
	c->out.n = 0;
	c->out.enough = enough;
	/* It fails when out of memory or at a flood of acks. */
	return nghttp2_session_send(c->ng) < 0 ? -1 : (ssize_t)c->out.n;
}

bool grpc_conn_is_over(const struct grpc_conn *c)
{
	if (nghttp2_session_want_write(c->ng))
		return false;
	return c->is_broken || !nghttp2_session_want_read(c->ng) ||
	       (c->is_draining && !c->n_streams);
}

bool grpc_conn_may_read(const struct grpc_conn *c)
{
	return nghttp2_session_get_outbound_queue_size(c->ng) < OUTBOUND_MAX;
}

void grpc_conn_drain(struct grpc_conn *c)
{
	if (c->is_draining)
		return;
	c->is_draining = true;
	(void)nghttp2_submit_goaway(c->ng, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(c->ng),
				    NGHTTP2_NO_ERROR, NULL, 0);
	c->env->wake(c);
}

/* Ends the call with e for the client, and tells its handler to stop. */
static void abort_call(struct grpc_call *k, enum err_code code, const char *text)
{
	struct err e = { 0 };

	(void)err_set(&e, code, "%s", text);
	grpc_out_end(k, &e);
	grpc_call_cancel(k, code == ERR_DEADLINE_EXCEEDED ? code : ERR_CANCELLED);
}

void grpc_conn_cancel_all(struct grpc_conn *c)
{
	for (struct grpc_call *k = c->calls; k; k = k->next)
		abort_call(k, ERR_UNAVAILABLE, "the server is shutting down");
}

void grpc_conn_expire(struct grpc_conn *c, uint64_t now)
{
	uint64_t soonest = 0;

	for (struct grpc_call *k = c->calls; k; k = k->next) {
		if (!k->rpc.deadline || cancel_is_set(&k->cancel))
			continue;
		if (k->rpc.deadline <= now)
			abort_call(k, ERR_DEADLINE_EXCEEDED, "context deadline exceeded");
		else if (!soonest || k->rpc.deadline < soonest)
			soonest = k->rpc.deadline;
	}
	c->soonest = soonest;
}
