#include "wire/grpc_bench.h"

#include "base/test.h"

#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

typedef Containerd__Services__Content__V1__WriteContentRequest blob_req;
typedef Containerd__Services__Content__V1__ReadContentResponse blob_rsp;

struct rpc_call *parked[8192];
size_t n_parked, n_called;

static void add_job(struct queue *q, void (*fn)(void *), void *arg)
{
	CHECK(q->n < ARRAY_LEN(q->v));
	q->v[q->n++] = (struct job){ fn, arg };
}

static void env_run(struct grpc_env *env, void (*fn)(void *), void *arg)
{
	add_job(&((struct bench *)env)->run, fn, arg);
}

static void env_post(struct grpc_env *env, void (*fn)(void *), void *arg)
{
	add_job(&((struct bench *)env)->post, fn, arg);
}

static void env_wake(UNUSED struct grpc_conn *c)
{
}

static void env_gone(UNUSED struct grpc_env *env)
{
}

void run_queue(struct queue *q)
{
	for (size_t i = 0; i < q->n; i++)
		q->v[i].fn(q->v[i].arg);
	q->n = 0;
}

static int do_version(UNUSED struct rpc_call *c, UNUSED const void *req, void *rsp,
		      UNUSED struct err *e)
{
	((Containerd__Services__Version__V1__VersionResponse *)rsp)->version = (char *)"v";
	n_called++;
	return 0;
}

static int do_park(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp,
		   UNUSED struct err *e)
{
	CHECK(n_parked < ARRAY_LEN(parked));
	parked[n_parked++] = c;
	n_called++;
	return RPC_PARKED;
}

/* 1 MiB, in messages of 64 KiB */
static int do_read(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	uint8_t data[65536];
	blob_rsp r;

	memset(data, 'x', sizeof data);
	containerd__services__content__v1__read_content_response__init(&r);
	r.data = (ProtobufCBinaryData){ sizeof data, data };
	for (int i = 0; i < 4; i++)
		if (rpc_try_send(c, &r, e) < 0)
			return -1;
	return 0;
}

#define EMPTY google__protobuf__empty
#define BLOB containerd__services__content__v1__write_content_request
static const struct rpc_method methods[] = {
	RPC_UNARY("Version", EMPTY, containerd__services__version__v1__version_response,
		  do_version),
	RPC_UNARY("Park", EMPTY, containerd__services__version__v1__version_response, do_park),
	RPC_UNARY_WAITING("Slow", EMPTY, containerd__services__version__v1__version_response,
			  do_park, 2),
	RPC_SERVER_STREAM("Read", EMPTY, containerd__services__content__v1__read_content_response,
			  do_read),
	RPC_BIDI_STREAM("Bidi", containerd__services__content__v1__write_content_request,
			containerd__services__content__v1__read_content_response, do_park),
	RPC_END,
};
static const struct rpc_service services[] = { { "t.S", methods }, { NULL, NULL } };

static int on_header(UNUSED nghttp2_session *ng, UNUSED const nghttp2_frame *f, const uint8_t *name,
		     size_t nn, const uint8_t *value, size_t vn, UNUSED uint8_t flags, void *user)
{
	struct bench *b = user;

	if (nn == 11 && memcmp(name, "grpc-status", 11) == 0)
		snprintf(b->status, sizeof b->status, "%.*s", (int)vn, (const char *)value);
	if (nn == 12 && memcmp(name, "grpc-message", 12) == 0)
		snprintf(b->message, sizeof b->message, "%.*s", (int)vn, (const char *)value);
	if (nn == 7 && memcmp(name, ":status", 7) == 0)
		snprintf(b->http, sizeof b->http, "%.*s", (int)vn, (const char *)value);
	return 0;
}

static int on_frame(UNUSED nghttp2_session *ng, const nghttp2_frame *f, void *user)
{
	struct bench *b = user;

	if (f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK))
		b->n_pings++;
	if (f->hd.type == NGHTTP2_GOAWAY)
		b->goaway = f->goaway.error_code + 1;
	if (f->hd.type == NGHTTP2_RST_STREAM)
		b->reset = f->rst_stream.error_code + 1;
	return 0;
}

static int on_close(UNUSED nghttp2_session *ng, UNUSED int32_t id, UNUSED uint32_t code, void *user)
{
	((struct bench *)user)->n_ended++;
	return 0;
}

static int on_data(UNUSED nghttp2_session *ng, UNUSED uint8_t flags, UNUSED int32_t id,
		   UNUSED const uint8_t *p, size_t n, void *user)
{
	((struct bench *)user)->bytes += n;
	return 0;
}

struct bench *open_bench(void)
{
	struct bench *b = NEW(struct bench);
	nghttp2_session_callbacks *cb;

	b->env = (struct grpc_env){ .run = env_run,
				    .post = env_post,
				    .wake = env_wake,
				    .call_gone = env_gone,
				    .services = services };
	b->conn = grpc_conn_new(&b->env, b);
	n_parked = n_called = 0;
	CHECK(nghttp2_session_callbacks_new(&cb) == 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	CHECK(nghttp2_session_client_new(&b->client, cb, b) == 0);
	nghttp2_session_callbacks_del(cb);
	CHECK(nghttp2_submit_settings(b->client, 0, NULL, 0) == 0);
	return b;
}

void flush_server(struct bench *b)
{
	uint8_t frame[1 + GRPC_FRAME_MAX];
	ssize_t n;

	while ((n = grpc_conn_output(b->conn, frame, 1)) > 0)
		(void)nghttp2_session_mem_recv(b->client, frame, (size_t)n);
}

void settle_by(struct bench *b, size_t step)
{
	uint8_t frame[1 + GRPC_FRAME_MAX];
	bool moved = true;

	while (moved) {
		const uint8_t *p;
		ssize_t n;

		moved = b->run.n || b->post.n;
		run_queue(&b->run);
		run_queue(&b->post);
		while ((n = nghttp2_session_mem_send(b->client, &p)) > 0) {
			moved = true;
			for (size_t at = 0; at < (size_t)n; at += step) {
				size_t part = (size_t)n - at < step ? (size_t)n - at : step;

				(void)grpc_conn_input(b->conn, p + at, part);
			}
		}
		while ((n = grpc_conn_output(b->conn, frame, 1)) > 0) {
			moved = true;
			(void)nghttp2_session_mem_recv(b->client, frame, (size_t)n);
		}
	}
}

void settle(struct bench *b)
{
	settle_by(b, 1 << 20);
}

void close_bench(struct bench *b)
{
	grpc_conn_free(b->conn);
	run_queue(&b->run); /* workers that were still to come */
	for (size_t i = 0; i < n_parked; i++)
		rpc_finish(parked[i], NULL, NULL);
	run_queue(&b->post);
	CHECK(b->env.calls == 0);
	nghttp2_session_del(b->client);
	free(b);
}

static ssize_t read_body(UNUSED nghttp2_session *ng, UNUSED int32_t id, uint8_t *buf, size_t room,
			 uint32_t *flags, UNUSED nghttp2_data_source *source, void *user)
{
	struct bench *b = user;
	size_t n = b->body_len < room ? b->body_len : room;

	if (!n && b->body_open)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(buf, b->body, n);
	b->body += n;
	b->body_len -= n;
	if (!b->body_len && !b->body_open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static const uint8_t empty_message[5];

static ssize_t read_empty(UNUSED nghttp2_session *ng, UNUSED int32_t id, uint8_t *buf,
			  UNUSED size_t room, uint32_t *flags, UNUSED nghttp2_data_source *source,
			  UNUSED void *user)
{
	memcpy(buf, empty_message, sizeof empty_message);
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return sizeof empty_message;
}

nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

int32_t request(struct bench *b, const char *path, const char *name, const char *value)
{
	nghttp2_nv v[] = { nv(":method", "POST"),
			   nv(":scheme", "http"),
			   nv(":path", path),
			   nv(":authority", "localhost"),
			   nv("content-type", "application/grpc"),
			   nv("te", "trailers"),
			   nv("x", "y") };
	nghttp2_data_provider from = { { 0 }, b->body || b->body_open ? read_body : read_empty };
	size_t n = ARRAY_LEN(v);

	for (size_t i = 0; name && i < ARRAY_LEN(v); i++)
		if (strcmp((char *)v[i].name, name) == 0) {
			v[i] = nv(name, value);
			name = NULL;
		}
	if (name)
		v[n - 1] = nv(name, value);
	int32_t id = nghttp2_submit_request(b->client, NULL, v, n, &from, NULL);
	CHECK(id > 0);
	return id;
}

void one(struct bench *b, const char *path, const char *name, const char *value)
{
	b->body = NULL;
	b->status[0] = b->http[0] = b->message[0] = 0;
	(void)request(b, path, name, value);
	settle(b);
}
