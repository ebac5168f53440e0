/* The HTTP/2 session of the gRPC client. */
#include "base/num.h"
#include "loop/loop.h"
#include "loop/trace.h"
#include "wire/grpc_client_priv.h"
#include "wire/grpc_header.h"

#include <string.h>

enum { MAX_REQUEST_HEADERS = 24 };

static void drop_out(struct grpc_stream *s)
{
	while (s->out) {
		struct grpc_out *o = s->out;

		s->out = o->next;
		free(o->data);
		free(o);
	}
	s->out_tail = &s->out;
	s->out_pending = 0;
}

static ssize_t read_out(UNUSED nghttp2_session *ng, UNUSED int32_t id, uint8_t *buf, size_t room,
			uint32_t *flags, nghttp2_data_source *source, UNUSED void *user)
{
	struct grpc_stream *s = source->ptr;
	size_t n = 0;

	while (s->out && n < room) {
		struct grpc_out *o = s->out;
		size_t part = o->len - o->at < room - n ? o->len - o->at : room - n;

		memcpy(buf + n, o->data + o->at, part);
		n += part;
		o->at += part;
		if (o->at < o->len)
			break;
		s->out = o->next;
		if (!s->out)
			s->out_tail = &s->out;
		free(o->data);
		free(o);
	}
	s->out_pending -= n;
	if (!s->out && s->out_closed) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	} else if (!n) {
		s->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

void grpc_client_queue(struct grpc_stream *s, uint8_t *data, size_t n)
{
	if (!s->id || s->out_closed) {
		free(data);
		return;
	}
	if (data) {
		struct grpc_out *o = NEW(struct grpc_out);

		*o = (struct grpc_out){ NULL, data, n, 0 };
		*s->out_tail = o;
		s->out_tail = &o->next;
		s->out_pending += n;
	} else {
		s->out_closed = true;
	}
	if (s->is_deferred) {
		s->is_deferred = false;
		(void)nghttp2_session_resume_data(s->client->ng, s->id);
	}
}

void grpc_client_consume(struct grpc_stream *s)
{
	if (!s->id || !s->held || s->in_bytes > GRPC_CLIENT_WINDOW)
		return;
	(void)nghttp2_session_consume_stream(s->client->ng, s->id, s->held);
	s->held = 0;
}

static void close_stream(struct grpc_stream *s)
{
	if (s->path && !s->is_closed && s->client->trace)
		trace_log_put(s->client->trace, s->client->trace_who, s->path, s->began,
			      trace_now());
	s->is_closed = true;
	drop_out(s);
}

/* The stream fails for a reason of ours; the server learns it by a reset. */
static void fail(struct grpc_stream *s, const struct err *e)
{
	if (s->is_closed)
		return;
	s->status = *e;
	close_stream(s);
	(void)nghttp2_submit_rst_stream(s->client->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

static int on_data(nghttp2_session *ng, UNUSED uint8_t flags, int32_t id, const uint8_t *p,
		   size_t n, UNUSED void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(ng, id);
	struct err e = { 0 };

	(void)nghttp2_session_consume_connection(ng, n);
	if (!s || s->is_closed) {
		(void)nghttp2_session_consume_stream(ng, id, n);
		return 0;
	}
	s->held += n;
	while (n) {
		struct grpc_msg *msg = NULL;
		size_t used = 0;
		int r = grpc_reader_feed(&s->reader, p, n, &used, &msg, &e);

		if (r < 0) {
			fail(s, &e);
			return 0;
		}
		p += used;
		n -= used;
		if (r == 0)
			continue;
		*s->in_tail = msg;
		s->in_tail = &msg->next;
		s->in_bytes += msg->len;
	}
	grpc_client_consume(s);
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name, size_t nn,
		     const uint8_t *value, size_t vn, UNUSED uint8_t flags, UNUSED void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	AUTO_STR struct str text = STR_INIT(64 * 1024);
	const char *n = (const char *)name;

	if (!s || s->is_closed)
		return 0;
	if (nn == 7 && memcmp(n, ":status", 7) == 0) {
		str_addn(&text, value, vn);
		if (num_u32(str_c(&text), &s->http) < 0)
			s->http = 0;
	} else if (nn == 11 && memcmp(n, "grpc-status", 11) == 0) {
		str_addn(&text, value, vn);
		s->has_status = num_u32(str_c(&text), &s->code) == 0;
	} else if (nn == 12 && memcmp(n, "grpc-message", 12) == 0 && !s->message) {
		grpc_percent_decode(&text, (const char *)value, vn);
		s->message = str_take(&text);
	} else if (nn == sizeof TRACE_ASK - 1 && memcmp(n, TRACE_ASK, nn) == 0 &&
		   s->client->trace) {
		str_addn(&text, value, vn);
		trace_log_merge(s->client->trace, str_c(&text));
	}
	return 0;
}

/* Without a grpc-status: what the HTTP status or the reset means, as gRPC's documents map it. */
static void guess_status(struct grpc_stream *s, uint32_t h2_code)
{
	if (h2_code == NGHTTP2_REFUSED_STREAM)
		(void)err_set(&s->status, ERR_UNAVAILABLE, "the server refused the stream");
	else if (h2_code == NGHTTP2_CANCEL)
		(void)err_set(&s->status, ERR_CANCELLED, "context canceled");
	else if (h2_code == NGHTTP2_ENHANCE_YOUR_CALM)
		(void)err_set(&s->status, ERR_RESOURCE_EXHAUSTED,
			      "stream terminated by RST_STREAM with error code: ENHANCE_YOUR_CALM");
	else if (h2_code != NGHTTP2_NO_ERROR)
		(void)err_set(&s->status, ERR_INTERNAL,
			      "stream terminated by RST_STREAM with error code: %s",
			      nghttp2_http2_strerror(h2_code));
	else if (s->http && s->http != 200)
		(void)err_set(&s->status, s->http == 404 ? ERR_UNIMPLEMENTED : ERR_UNAVAILABLE,
			      "unexpected HTTP status code received from server: %u", s->http);
	else
		(void)err_set(&s->status, ERR_INTERNAL,
			      "server closed the stream without sending trailers");
}

static void take_status(struct grpc_stream *s, uint32_t h2_code)
{
	if (s->is_closed)
		return;
	if (!s->has_status)
		guess_status(s, h2_code);
	else if (s->code)
		(void)err_set(&s->status,
			      s->code <= ERR_UNAUTHENTICATED ? (enum err_code)s->code : ERR_UNKNOWN,
			      "%s", s->message ?: "");
	else if (grpc_reader_is_mid(&s->reader))
		(void)err_set(&s->status, ERR_INTERNAL, "unexpected EOF");
	close_stream(s);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *f, UNUSED void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);

	if (!s)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		s->has_headers = true;
	if ((f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA) &&
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		take_status(s, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, UNUSED void *user)
{
	struct grpc_stream *s = nghttp2_session_get_stream_user_data(ng, id);

	if (!s)
		return 0;
	take_status(s, code);
	s->id = 0;
	return 0;
}

void grpc_client_session(struct grpc_client *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_CLIENT_WINDOW },
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		BUG("out of memory");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	if (nghttp2_session_client_new2(&c->ng, cb, c, opt))
		BUG("out of memory");
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	if (nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE, 0,
						  16 * GRPC_CLIENT_WINDOW))
		BUG("nghttp2 refuses our settings");
}

struct headers {
	nghttp2_nv nv[MAX_REQUEST_HEADERS];
	size_t n;
};

/* More than fit are our own caller's bug: nothing from outside gets here. */
static void add(struct headers *h, const char *name, const char *value)
{
	if (h->n == MAX_REQUEST_HEADERS)
		BUG("too many request headers");
	h->nv[h->n++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
				      strlen(value), NGHTTP2_NV_FLAG_NONE };
}

struct grpc_stream *grpc_client_submit(struct grpc_client *c, const char *path,
				       const ProtobufCMessageDescriptor *rsp_type,
				       const struct grpc_options *opt)
{
	if (!nghttp2_session_check_request_allowed(c->ng))
		return NULL;

	struct grpc_stream *s = NEW(struct grpc_stream);
	nghttp2_data_provider from = { { .ptr = s }, read_out };
	char timeout[GRPC_TIMEOUT_TEXT];
	struct headers h = { .n = 0 };

	add(&h, ":method", "POST");
	add(&h, ":scheme", "http");
	add(&h, ":path", path);
	add(&h, ":authority", "localhost");
	add(&h, "content-type", "application/grpc");
	add(&h, "user-agent", "casco/" CASCO_VERSION);
	add(&h, "te", "trailers");
	if (opt && opt->timeout_ns) {
		grpc_timeout_print(opt->timeout_ns, timeout);
		add(&h, "grpc-timeout", timeout);
		s->deadline = loop_now() + opt->timeout_ns;
	}
	for (size_t i = 0; i < c->n_meta; i++)
		add(&h, c->meta[i].key, c->meta[i].value);
	if (c->trace)
		add(&h, TRACE_ASK, "1");
	if (opt && opt->lease)
		add(&h, "containerd-lease", opt->lease);

	s->client = c;
	if (c->trace) {
		s->path = xstrdup(path + (*path == '/'));
		s->began = trace_now();
	}
	s->rsp_type = rsp_type;
	s->in_tail = &s->in;
	s->out_tail = &s->out;
	grpc_reader_init(&s->reader, GRPC_CLIENT_MAX);
	s->id = nghttp2_submit_request(c->ng, NULL, h.nv, h.n, &from, s);
	if (s->id < 0) { /* all stream ids are used up */
		free(s->path);
		free(s);
		return NULL;
	}
	s->next = c->streams;
	if (s->next)
		s->next->prev = s;
	c->streams = s;
	return s;
}

void grpc_stream_free(struct grpc_stream *s)
{
	if (!s)
		return;
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		s->client->streams = s->next;
	if (s->id) {
		/* nghttp2 must not come back to s: not for data, not for its close. */
		(void)nghttp2_session_set_stream_user_data(s->client->ng, s->id, NULL);
		(void)nghttp2_submit_rst_stream(s->client->ng, NGHTTP2_FLAG_NONE, s->id,
						NGHTTP2_CANCEL);
	}
	while (s->in) {
		struct grpc_msg *m = s->in;

		s->in = m->next;
		free(m);
	}
	drop_out(s);
	grpc_reader_done(&s->reader);
	free(s->message);
	free(s->path);
	free(s);
}
