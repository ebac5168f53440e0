/* The server's answers as HTTP/2 frames. All on the loop's thread. */
#include "wire/grpc_conn.h"
#include "wire/grpc_header.h"

#include <stdio.h>
#include <string.h>

#define NV(n, v)                                                                               \
	{                                                                                      \
		(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, strlen(v), NGHTTP2_NV_FLAG_NONE \
	}

static bool can_send(const struct grpc_call *k)
{
	return k->conn && k->stream_id && !k->is_ending && !k->end_sent;
}

/* nghttp2 fails here for a session that is being torn down only: the close callback follows. */
static void wake(struct grpc_call *k)
{
	k->env->wake(k->conn);
}

/* The last one of the trailers, which most calls do without. */
static const char *trace_of(const struct grpc_call *k)
{
	return k->trace ? str_c(k->trace) : "";
}

static int submit_trailers(struct grpc_call *k)
{
	char code[12];

	snprintf(code, sizeof code, "%d", k->end_code);
	const char *trace = trace_of(k);
	nghttp2_nv nv[] = { NV("grpc-status", code), NV("grpc-message", k->end_text),
			    NV(TRACE_ASK, trace) };
	k->end_sent = true;
	return nghttp2_submit_trailer(k->conn->ng, k->stream_id, nv, ARRAY_LEN(nv) - !*trace);
}

static size_t waiting(const struct grpc_call *k, size_t enough)
{
	size_t n = 0;

	for (const struct out_chunk *c = k->out; c && n < enough; c = c->next)
		n += c->len - c->at;
	return n;
}

/* n bytes of the queue, which has them, to buf. */
static void take_out(struct grpc_call *k, uint8_t *buf, size_t n)
{
	k->conn->queued -= n;
	while (n && k->out) {
		struct out_chunk *c = k->out;
		size_t part = c->len - c->at < n ? c->len - c->at : n;

		memcpy(buf, c->data + c->at, part);
		buf += part;
		n -= part;
		c->at += part;
		if (c->at < c->len)
			break;
		k->out = c->next;
		if (!k->out)
			k->out_tail = &k->out;
		free(c->data);
		free(c);
	}
}

int grpc_out_frame(UNUSED nghttp2_session *ng, UNUSED nghttp2_frame *f, const uint8_t *head,
		   size_t n, nghttp2_data_source *source, void *user)
{
	enum { HEAD = 9 };
	struct grpc_conn *c = user;

	if (c->out.n >= c->out.enough)
		return NGHTTP2_ERR_WOULDBLOCK;
	if (waiting(source->ptr, n) < n) /* read_out() promised more than there is: never so */
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	memcpy(c->out.p + c->out.n, head, HEAD);
	take_out(source->ptr, c->out.p + c->out.n + HEAD, n);
	c->out.n += HEAD + n;
	grpc_call_sent(source->ptr, n);
	return 0;
}

/* Says how many bytes the next frame has; grpc_out_frame() takes them from the queue. */
static ssize_t read_out(UNUSED nghttp2_session *ng, UNUSED int32_t id, UNUSED uint8_t *buf,
			size_t room, uint32_t *flags, nghttp2_data_source *source,
			UNUSED void *user)
{
	struct grpc_call *k = source->ptr;
	size_t n = waiting(k, room + 1);

	if (n)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > room) {
		n = room;
	} else if (k->is_ending) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (submit_trailers(k) < 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	} else if (!n) {
		k->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static void resume(struct grpc_call *k)
{
	if (k->is_deferred) {
		k->is_deferred = false;
		(void)nghttp2_session_resume_data(k->conn->ng, k->stream_id);
	}
	wake(k);
}

void grpc_out_headers(struct grpc_call *k)
{
	nghttp2_nv nv[] = { NV(":status", "200"), NV("content-type", "application/grpc") };
	nghttp2_data_provider from = { { .ptr = k }, read_out };

	if (!can_send(k) || k->headers_sent)
		return;
	k->headers_sent = true;
	(void)nghttp2_submit_response(k->conn->ng, k->stream_id, nv, ARRAY_LEN(nv), &from);
	wake(k);
}

void grpc_out_data(struct grpc_call *k, uint8_t *data, size_t n)
{
	if (!can_send(k)) {
		free(data);
		return;
	}
	if (k->conn->queued + n > (size_t)4 * GRPC_MAX_BUFFERED) {
		struct err e = { 0 };

		free(data);
		(void)err_set(&e, ERR_RESOURCE_EXHAUSTED,
			      "too many bytes of one connection wait to be read by its client");
		grpc_out_end(k, &e);
		return;
	}
	k->conn->queued += n;

	struct out_chunk *c = NEW(struct out_chunk);

	*c = (struct out_chunk){ NULL, data, n, 0 };
	*k->out_tail = c;
	k->out_tail = &c->next;
	grpc_out_headers(k);
	resume(k);
}

static void set_end(struct grpc_call *k, const struct err *e)
{
	AUTO_STR struct str coded = STR_INIT(3 * sizeof e->msg);

	k->end_code = e ? e->code : ERR_OK;
	grpc_percent_encode(&coded, e ? e->msg : "");
	k->end_text = str_take(&coded);
}

/* All of the answer in one HEADERS frame. */
static void trailers_only(struct grpc_call *k, const char *status)
{
	const char *trace = trace_of(k);
	char code[12];

	snprintf(code, sizeof code, "%d", k->end_code);
	nghttp2_nv nv[] = { NV(":status", status), NV("content-type", "application/grpc"),
			    NV("grpc-status", code), NV("grpc-message", k->end_text),
			    NV(TRACE_ASK, trace) };
	k->headers_sent = k->end_sent = true;
	(void)nghttp2_submit_response(k->conn->ng, k->stream_id, nv, ARRAY_LEN(nv) - !*trace, NULL);
	wake(k);
}

void grpc_out_end(struct grpc_call *k, const struct err *e)
{
	if (!can_send(k))
		return;
	set_end(k, e);
	k->is_ending = true;
	if (k->headers_sent)
		resume(k);
	else
		trailers_only(k, "200");
}

void grpc_out_http_error(struct grpc_call *k, const char *status, const struct err *e)
{
	if (!can_send(k))
		return;
	set_end(k, e);
	k->is_ending = true;
	trailers_only(k, status);
}

void grpc_out_free(struct grpc_call *k)
{
	while (k->out) {
		struct out_chunk *c = k->out;

		k->out = c->next;
		if (k->conn)
			k->conn->queued -= c->len - c->at;
		free(c->data);
		free(c);
	}
	k->out_tail = &k->out;
	free(k->end_text);
	k->end_text = NULL;
}

/* A message larger than the window gets through, since only whole messages are held back. */
void grpc_out_consume(struct grpc_call *k)
{
	if (!k->conn || !k->stream_id || !k->held)
		return;
	pthread_mutex_lock(&k->lock);
	bool full = k->in_bytes > GRPC_WINDOW;
	pthread_mutex_unlock(&k->lock);
	if (full)
		return;
	(void)nghttp2_session_consume_stream(k->conn->ng, k->stream_id, k->held);
	k->held = 0;
	wake(k);
}
