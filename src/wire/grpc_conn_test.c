/* The connection as a machine: bytes in, bytes out, no socket, no thread.  The client is nghttp2's
 * where it is honest, and frames by hand where it is not. */
#include "wire/grpc_conn.h"

#include "base/str.h"
#include "base/test.h"
#include "loop/loop.h"

#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

typedef Containerd__Services__Content__V1__WriteContentRequest blob_req;
typedef Containerd__Services__Content__V1__ReadContentResponse blob_rsp;

struct job {
	void (*fn)(void *);
	void *arg;
};

struct queue {
	struct job v[8192];
	size_t n;
};

static struct rpc_call *parked[8192];
static size_t n_parked, n_called;

struct bench {
	struct grpc_env env;
	struct queue run, post;
	struct grpc_conn *conn;
	nghttp2_session *client;
	char status[16], http[16], message[200]; /* of the stream that ended last */
	size_t n_ended, n_pings, bytes;
	uint32_t goaway, reset; /* error code + 1 */
	const uint8_t *body;
	size_t body_len;
	bool body_open;
};

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

static void run_queue(struct queue *q)
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

static struct bench *open_bench(void)
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

/* Server's bytes to the client. */
static void flush_server(struct bench *b)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = grpc_conn_output(b->conn, &p)) > 0)
		(void)nghttp2_session_mem_recv(b->client, p, (size_t)n);
}

/* Both ways and all jobs until nothing moves. step: bytes given at once. */
static void settle_by(struct bench *b, size_t step)
{
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
		while ((n = grpc_conn_output(b->conn, &p)) > 0) {
			moved = true;
			(void)nghttp2_session_mem_recv(b->client, p, (size_t)n);
		}
	}
}

static void settle(struct bench *b)
{
	settle_by(b, 1 << 20);
}

static void close_bench(struct bench *b)
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

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

/* A request with one more header (NULL: none); the body is empty_message unless b has another. */
static int32_t request(struct bench *b, const char *path, const char *name, const char *value)
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

static void one(struct bench *b, const char *path, const char *name, const char *value)
{
	b->body = NULL;
	b->status[0] = b->http[0] = b->message[0] = 0;
	(void)request(b, path, name, value);
	settle(b);
}

TEST(any_cut_of_the_bytes)
{
	for (size_t step = 1; step < 40; step += 6) {
		struct bench *b = open_bench();

		(void)request(b, "/t.S/Version", NULL, NULL);
		settle_by(b, step);
		CHECK_STR(b->status, "0");
		CHECK_STR(b->message, "");
		CHECK(b->bytes == 5 + 3 && b->n_ended == 1 && n_called == 1);
		close_bench(b);
	}
}

TEST(what_is_no_call)
{
	static const struct {
		const char *path, *name, *value, *http, *status, *message;
	} rows[] = {
		{ "/t.S/Version", NULL, NULL, "200", "0", "" },
		{ "/t.S/Version", "content-type", "application/grpc+proto", "200", "0", "" },
		{ "/t.S/Version", "content-type", "application/grpc;x", "200", "0", "" },
		{ "/t.S/Version", "content-type", "application/grpcx", "415", "3",
		  "invalid gRPC request content-type \"application/grpcx\"" },
		{ "/t.S/Version", ":method", "GET", "405", "13",
		  "http2Server.operateHeaders parsed a :method field: \"GET\" which should be "
		  "POST" },
		{ "/t.S/Version", "grpc-timeout", "10x", "400", "13",
		  "malformed grpc-timeout: \"10x\"" },
		{ "/t.S/Version", "grpc-timeout", "99999999H", "200", "0", "" },
		{ "/t.S/Version", "grpc-encoding", "identity", "200", "0", "" },
		{ "/t.S/Version", "grpc-encoding", "gzip", "200", "12",
		  "grpc: Decompressor is not installed for grpc-encoding \"gzip\"" },
		{ "/t.S/Nope", NULL, NULL, "200", "12", "unknown method Nope for service t.S" },
		{ "/t.X/Version", NULL, NULL, "200", "12", "unknown service t.X" },
		{ "/t.S/Version/", NULL, NULL, "200", "12", "unknown service t.S/Version" },
		{ "//t.S/Version", NULL, NULL, "200", "12", "unknown service /t.S" },
		{ "/t.S/Version?x", NULL, NULL, "200", "12",
		  "unknown method Version?x for service t.S" },
	};
	struct bench *b = open_bench();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		one(b, rows[i].path, rows[i].name, rows[i].value);
		CHECK_STR(b->http, rows[i].http);
		CHECK_STR(b->status, rows[i].status);
		CHECK_STR(b->message, rows[i].message);
	}
	close_bench(b);
}

/* CVE-2026-33186: no path but an exact one reaches a handler. */
TEST(path_without_slash)
{
	struct bench *b = open_bench();

	one(b, "t.S/Version", NULL, NULL);
	CHECK(n_called == 0 && b->n_ended == 1);
	CHECK(strcmp(b->status, "0") != 0);
	close_bench(b);
}

static void message(struct bench *b, const void *p, size_t n)
{
	b->body = p;
	b->body_len = n;
	b->status[0] = 0;
	(void)request(b, "/t.S/Version", NULL, NULL);
	settle(b);
}

TEST(bodies)
{
	static const uint8_t two[10], cut[7] = { 0, 0, 0, 0, 9 }, large[5] = { 0, 1, 0, 0, 1 },
				      zipped[5] = { 1 }, wrong[6] = { 0, 0, 0, 0, 1, 0xff };
	struct bench *b = open_bench();

	message(b, two, 0);
	CHECK_STR(b->status, "13");
	message(b, two, sizeof two);
	CHECK_STR(b->status, "13");
	message(b, cut, sizeof cut);
	CHECK_STR(b->status, "13");
	CHECK_STR(b->message, "unexpected EOF");
	message(b, large, sizeof large);
	CHECK_STR(b->status, "8");
	message(b, zipped, sizeof zipped);
	CHECK_STR(b->status, "13");
	CHECK(n_called == 0);
	message(b, wrong, sizeof wrong);
	CHECK_STR(b->status, "13");
	CHECK(n_called == 0 && b->conn->buffered == 0);
	close_bench(b);
}

TEST(pings_are_acked_and_a_flood_ends)
{
	struct bench *b = open_bench();

	for (int i = 0; i < 50; i++)
		CHECK(nghttp2_submit_ping(b->client, 0, NULL) == 0);
	settle(b);
	CHECK(b->n_pings == 50 && !b->goaway);
	for (int i = 0; i < 300 && !b->goaway; i++) {
		for (int k = 0; k < 100; k++)
			CHECK(nghttp2_submit_ping(b->client, 0, NULL) == 0);
		settle(b);
	}
	CHECK(b->goaway == NGHTTP2_ENHANCE_YOUR_CALM + 1);
	CHECK(grpc_conn_is_over(b->conn));
	close_bench(b);
}

/* A ping for each answer, as grpc-go's bandwidth estimator sends them, is no flood. */
TEST(busy_clients_are_no_flood)
{
	struct bench *b = open_bench();

	for (int i = 0; i < 12000; i++) {
		CHECK(nghttp2_submit_ping(b->client, 0, NULL) == 0);
		CHECK(nghttp2_submit_window_update(b->client, 0, 0, 1) == 0);
		one(b, "/t.S/Version", NULL, NULL);
		CHECK_STR(b->status, "0");
	}
	CHECK(!b->goaway);
	close_bench(b);
}

/* The client does not read: acks must not pile up without a bound. */
TEST(unread_acks_are_bounded)
{
	static const uint8_t ping[17] = { 0, 0, 8, NGHTTP2_PING };
	struct bench *b = open_bench();

	settle(b);
	for (int i = 0; i < 20000 && !b->conn->is_broken; i++) {
		(void)grpc_conn_input(b->conn, ping, sizeof ping);
		if (!grpc_conn_may_read(b->conn))
			break; /* the server stops to read */
	}
	CHECK(nghttp2_session_get_outbound_queue_size(b->conn->ng) <= 4200);
	close_bench(b);
}

TEST(settings_flood)
{
	static const uint8_t settings[9] = { 0, 0, 0, NGHTTP2_SETTINGS };
	struct bench *b = open_bench();

	settle(b);
	for (int i = 0; i < 30000 && !b->conn->is_broken; i++) {
		(void)grpc_conn_input(b->conn, settings, sizeof settings);
		flush_server(b);
	}
	CHECK(b->conn->is_broken);
	close_bench(b);
}

/* CVE-2026-78669: each window change touches every stream. */
TEST(window_changes_with_many_streams)
{
	uint8_t settings[15] = { 0,
				 0,
				 6,
				 NGHTTP2_SETTINGS,
				 0,
				 0,
				 0,
				 0,
				 0,
				 0,
				 NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
				 0,
				 0,
				 0x80,
				 0 };
	struct bench *b = open_bench();
	int n;

	for (int i = 0; i < 1000; i++)
		(void)request(b, "/t.S/Park", NULL, NULL);
	settle(b);
	CHECK(b->conn->n_streams == 1000);
	for (n = 0; n < 30000 && !b->conn->is_broken; n++) {
		settings[14] = (uint8_t)n;
		(void)grpc_conn_input(b->conn, settings, sizeof settings);
		flush_server(b);
	}
	CHECK(n < 1000);
	close_bench(b);
}

/* CVE-2023-44487: streams that are reset at once; their handlers must stay few. */
TEST(rapid_reset)
{
	struct bench *b = open_bench();
	size_t most = 0;

	for (int i = 0; i < 20000 && !b->goaway; i++) {
		int32_t id = request(b, "/t.S/Park", NULL, NULL);
		const uint8_t *p;
		ssize_t n;

		while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
			(void)grpc_conn_input(b->conn, p, (size_t)n);
		(void)nghttp2_submit_rst_stream(b->client, 0, id, NGHTTP2_CANCEL);
		while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
			(void)grpc_conn_input(b->conn, p, (size_t)n);
		flush_server(b);
		most = b->env.calls > most ? b->env.calls : most;
	}
	CHECK(b->goaway);
	CHECK(most <= 2 * GRPC_MAX_STREAMS);
	close_bench(b);
}

TEST(streams_are_bounded)
{
	struct bench *b = open_bench();

	settle(b); /* the client learns the limit */
	for (int i = 0; i < GRPC_MAX_STREAMS + 100; i++)
		(void)request(b, "/t.S/Park", NULL, NULL);
	settle(b);
	CHECK(b->conn->n_streams == GRPC_MAX_STREAMS && n_parked == GRPC_MAX_STREAMS);
	close_bench(b);
}

/* CVE-2023-45288 */
TEST(continuation_flood)
{
	static const uint8_t head[] = { 0, 0, 1, NGHTTP2_HEADERS, 0, 0, 0, 0, 1, 0x83 };
	/* a literal header without indexing, "a: " */
	static const uint8_t more[] = {
		0, 0, 4, NGHTTP2_CONTINUATION, 0, 0, 0, 0, 1, 0, 1, 'a', 0
	};
	struct bench *b = open_bench();
	int n;

	settle(b);
	(void)grpc_conn_input(b->conn, head, sizeof head);
	for (n = 0; n < 10000 && !b->conn->is_broken; n++)
		(void)grpc_conn_input(b->conn, more, sizeof more);
	CHECK(n < 100);
	close_bench(b);
}

TEST(headers_are_bounded)
{
	struct bench *b = open_bench();
	AUTO_FREE char *value = xcalloc(1, 40000);

	memset(value, 'v', 39999);
	one(b, "/t.S/Version", "a", value);
	CHECK_STR(b->status, "0");
	AUTO_FREE char *two = xasprintf("%s%.30000s", value, value);
	b->reset = 0;
	one(b, "/t.S/Version", "a", two);
	CHECK(n_called == 1 && strcmp(b->status, "0") != 0);
	close_bench(b);
}

/* CVE-2026-78659: what comes behind the body counts, too. */
TEST(trailers_are_bounded)
{
	struct bench *b = open_bench();
	AUTO_FREE char *value = xcalloc(1, 60000);
	nghttp2_nv trailer = nv("a", value);

	memset(value, 'v', 59999);
	trailer.valuelen = 59999;
	b->body_open = true;
	int32_t id = request(b, "/t.S/Bidi", "b", "0123456789");
	settle(b);
	CHECK(n_parked == 1);
	CHECK(nghttp2_submit_headers(b->client, NGHTTP2_FLAG_END_STREAM, id, NULL, &trailer, 1,
				     NULL) == 0);
	settle(b);
	CHECK(!b->reset);
	value[0] = 'w';
	trailer = nv("a", value);
	one(b, "/t.S/Version", NULL, NULL);
	b->body = NULL;
	b->body_open = true;
	id = request(b, "/t.S/Bidi", "b", value);
	settle(b);
	CHECK(nghttp2_submit_headers(b->client, NGHTTP2_FLAG_END_STREAM, id, NULL, &trailer, 1,
				     NULL) == 0);
	settle(b);
	CHECK(b->reset); /* 60000 and 60000 are more than 64 KiB */
	close_bench(b);
}

/* CVE-2026-97032: sizes of the HPACK table that change between requests. */
TEST(header_table_changes)
{
	struct bench *b = open_bench();

	for (uint32_t i = 0; i < 50; i++) {
		nghttp2_settings_entry s = { NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, (i * 977) % 8192 };

		CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
		one(b, "/t.S/Version", "x", i % 2 ? "some longer value" : "y");
		CHECK_STR(b->status, "0");
	}
	close_bench(b);
}

/* A client may shrink its window in mid-stream, below zero, and grow it again. */
TEST(windows_change_in_mid_stream)
{
	struct bench *b = open_bench();
	nghttp2_settings_entry s = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000 };

	CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
	(void)request(b, "/t.S/Read", NULL, NULL);
	for (int i = 0; i < 20; i++) {
		const uint8_t *p;
		ssize_t n;

		s.value = i % 2 ? 70000 : 10;
		CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
		while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
			(void)grpc_conn_input(b->conn, p, (size_t)n);
		run_queue(&b->run);
		run_queue(&b->post);
		for (int k = 0; k < i && (n = grpc_conn_output(b->conn, &p)) > 0; k++)
			(void)nghttp2_session_mem_recv(b->client, p, (size_t)n);
	}
	settle(b);
	CHECK_STR(b->status, "0");
	CHECK(b->bytes == 4 * (65536 + 5 + 4));
	close_bench(b);
}

/* CVE-2026-78663: what a reset stream had sent is let go at once. */
TEST(reset_frees_what_was_buffered)
{
	AUTO_FREE uint8_t *data = xcalloc(1, 4 << 20);
	struct bench *b = open_bench();

	data[1] = 0x00, data[2] = 0x3f; /* a message of almost 4 MiB, never complete */
	for (int i = 0; i < 50; i++) {
		b->body = data;
		b->body_len = 3 << 20;
		b->body_open = true;
		int32_t id = request(b, "/t.S/Bidi", NULL, NULL);
		settle(b);
		CHECK(b->conn->buffered > (2 << 20));
		CHECK(nghttp2_submit_rst_stream(b->client, 0, id, NGHTTP2_CANCEL) == 0);
		settle(b);
		CHECK(b->conn->buffered == 0);
	}
	close_bench(b);
}

/* Handlers that take nothing: the client is held back by its stream's window. */
TEST(an_unread_stream_is_held_back)
{
	AUTO_FREE uint8_t *data = xcalloc(1, 4 << 20);
	struct bench *b = open_bench();

	for (size_t i = 0; i + 1005 <= 4 << 20; i += 1005) /* messages of 1000 bytes */
		data[i + 3] = 3, data[i + 4] = 0xe8;
	b->body = data;
	b->body_len = (4 << 20) / 1005 * 1005;
	(void)request(b, "/t.S/Bidi", NULL, NULL);
	settle(b);
	CHECK(b->conn->buffered <= 3 * GRPC_WINDOW && b->body_len > 3 << 20);

	const void *m;
	struct err e = { 0 };
	size_t n = 0;
	for (int r; (r = rpc_try_recv(parked[0], &m, &e)) != 0; settle(b)) {
		CHECK(r == 1 || r == RPC_AGAIN || r == -1); /* zeros are no valid message */
		err_clear(&e);
		n += r != RPC_AGAIN;
	}
	CHECK(n == (4 << 20) / 1005 && b->conn->buffered == 0);
	close_bench(b);
}

TEST(deadlines)
{
	struct bench *b = open_bench();

	b->body = NULL;
	(void)request(b, "/t.S/Park", "grpc-timeout", "5000m");
	settle(b);
	CHECK(n_parked == 1 && b->conn->soonest);
	CHECK(b->conn->soonest == parked[0]->deadline);
	grpc_conn_expire(b->conn, loop_now());
	settle(b);
	CHECK(b->n_ended == 0);
	grpc_conn_expire(b->conn, loop_now() + 6000000000);
	settle(b);
	CHECK(b->n_ended == 1 && cancel_is_set(parked[0]->cancel));
	CHECK_STR(b->status, "4");
	CHECK_STR(b->message, "context deadline exceeded");
	close_bench(b);
}

TEST(drain_lets_calls_end)
{
	struct bench *b = open_bench();

	(void)request(b, "/t.S/Park", NULL, NULL);
	settle(b);
	grpc_conn_drain(b->conn);
	settle(b);
	CHECK(b->goaway == NGHTTP2_NO_ERROR + 1 && !grpc_conn_is_over(b->conn));
	Containerd__Services__Version__V1__VersionResponse r =
		CONTAINERD__SERVICES__VERSION__V1__VERSION_RESPONSE__INIT;
	rpc_reply(parked[0], &r);
	n_parked = 0;
	settle(b);
	CHECK_STR(b->status, "0");
	CHECK(grpc_conn_is_over(b->conn));
	close_bench(b);
}

TEST(garbage)
{
	struct bench *b = open_bench();

	CHECK(grpc_conn_input(b->conn, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18) < 0);
	CHECK(grpc_conn_input(b->conn, (const uint8_t *)"x", 1) < 0);
	flush_server(b);
	CHECK(grpc_conn_is_over(b->conn));
	close_bench(b);
}
