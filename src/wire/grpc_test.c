/* The gRPC server and client, over a socket pair, on real threads. */
#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

#include "base/str.h"
#include "base/test.h"

#include "containerd/services/content/v1/content.pb-c.h"
#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#define version_response containerd__services__version__v1__version_response
#define content_request containerd__services__content__v1__write_content_request
#define content_response containerd__services__content__v1__read_content_response
#define VERSION_RSP &containerd__services__version__v1__version_response__descriptor
#define BLOB_RSP &containerd__services__content__v1__read_content_response__descriptor
typedef Containerd__Services__Version__V1__VersionResponse version_rsp;
typedef Containerd__Services__Content__V1__WriteContentRequest blob_req;
typedef Containerd__Services__Content__V1__ReadContentResponse blob_rsp;

struct bench {
	struct loop *loop;
	struct pool *pool;
	struct grpc_server *server;
	pthread_t thread;
	_Atomic(struct rpc_call *) parked;
	atomic_int cancelled, ended, in_handler;
	pthread_mutex_t lock;
};

static int do_version(struct rpc_call *c, UNUSED const void *req, void *rsp, UNUSED struct err *e)
{
	version_rsp *r = rsp;

	r->version = arena_strdup(c->arena, rpc_meta(c, "containerd-lease") ?: "none");
	r->revision = arena_printf(c->arena, "%d %d", c->deadline != 0, c->peer_pid != 0);
	return 0;
}

enum { LARGE = 300000 };

/* Encodes what does not outlive it; with a lease, fails after that. */
static int do_encode(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	version_rsp *r = rsp;
	AUTO_FREE char *text = xmalloc(LARGE + 1);

	memset(text, 'a', LARGE);
	text[LARGE] = 0;
	r->version = text;
	if (rpc_encode(c, r, e) < 0)
		return -1;
	r->version = NULL;
	memset(text, 'b', LARGE);
	return rpc_meta(c, "containerd-lease") ? err_set(e, ERR_DATA_LOSS, "later") : 0;
}

static int do_fail(UNUSED struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp,
		   struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "image \"ü%%\"");
}

/* size bytes in messages of the size in offset; "total" is how many */
static int do_read(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const blob_req *q = req;
	AUTO_FREE uint8_t *data = xmalloc((size_t)q->offset + 1);
	blob_rsp r;

	memset(data, 'd', (size_t)q->offset + 1);
	containerd__services__content__v1__read_content_response__init(&r);
	for (int64_t i = 0; i < q->total; i++) {
		r.offset = i;
		r.data = (ProtobufCBinaryData){ (size_t)q->offset, data };
		if (rpc_send(c, &r, e) < 0)
			return -1;
	}
	return q->ref && *q->ref ? err_set(e, ERR_OUT_OF_RANGE, "%s", q->ref) : 0;
}

static int do_echo(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	const void *m;
	int r;

	while ((r = rpc_recv(c, &m, e)) > 0) {
		const blob_req *q = m;
		blob_rsp out;

		containerd__services__content__v1__read_content_response__init(&out);
		out.offset = (int64_t)q->data.len;
		if (rpc_send(c, &out, e) < 0)
			return -1;
	}
	return r;
}

static int do_sum(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	blob_rsp *out = rsp;
	const void *m;
	int r;

	while ((r = rpc_recv(c, &m, e)) > 0)
		out->offset += (int64_t)((const blob_req *)m)->data.len;
	return r;
}

static void on_cancelled(struct rpc_call *c, void *arg)
{
	struct bench *b = arg;
	struct rpc_call *mine = c;
	struct err e = { 0 };

	if (atomic_compare_exchange_strong(&b->parked, &mine, NULL)) {
		(void)cancel_check(c->cancel, &e);
		b->cancelled = (int)e.code;
		rpc_finish(c, NULL, &e);
	}
}

static int do_park(struct rpc_call *c, UNUSED const void *req, void *rsp, UNUSED struct err *e)
{
	struct bench *b = c->user;

	c->handler_data = rsp;
	rpc_headers(c);
	b->parked = c;
	rpc_on_cancel(c, on_cancelled, b);
	return RPC_PARKED;
}

/* Blocks until it is cancelled. */
static int do_block(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	struct bench *b = c->user;

	b->in_handler++;
	int r = cancel_poll(c->cancel, -1, 0, 0, e);
	b->cancelled = (int)e->code;
	b->in_handler--;
	return r;
}

static void count_end(const struct rpc_call *c, UNUSED const struct err *e)
{
	((struct bench *)c->user)->ended++;
}

#define empty google__protobuf__empty
static const struct rpc_method methods[] = {
	RPC_UNARY("Version", empty, version_response, do_version),
	RPC_UNARY("Encode", empty, version_response, do_encode),
	RPC_UNARY("Fail", empty, version_response, do_fail),
	RPC_UNARY("Park", empty, version_response, do_park),
	RPC_UNARY("Block", empty, version_response, do_block),
	RPC_SERVER_STREAM("Read", content_request, content_response, do_read),
	RPC_SERVER_STREAM("Subscribe", empty, content_response, do_park),
	RPC_CLIENT_STREAM("Sum", content_request, content_response, do_sum),
	RPC_BIDI_STREAM("Echo", content_request, content_response, do_echo),
	RPC_END,
};
static const struct rpc_service services[] = { { "test.Svc", methods }, { NULL, NULL } };

static void *loop_thread(void *arg)
{
	loop_run(((struct bench *)arg)->loop);
	return NULL;
}

static struct grpc_client *open_bench(struct bench *b)
{
	struct grpc_client *c;
	struct err e = { 0 };
	int fds[2];

	*b = (struct bench){ .loop = loop_new(), .pool = pool_new(16, 100000000) };
	b->server = grpc_server_new(b->loop, b->pool, services, b);
	grpc_server_log(b->server, count_end);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	CHECK(grpc_server_add(b->server, fds[0]) == 0);
	CHECK(pthread_create(&b->thread, NULL, loop_thread, b) == 0);
	CHECK_OK(grpc_connect_fd(fds[1], &c, &e), &e);
	return c;
}

static void stopped(void *arg)
{
	loop_stop(((struct bench *)arg)->loop);
}

static void stop(void *arg)
{
	grpc_server_stop(((struct bench *)arg)->server, 20000000, stopped, arg);
}

static void close_bench(struct bench *b, struct grpc_client *c)
{
	loop_post(b->loop, stop, b);
	pthread_join(b->thread, NULL);
	grpc_server_free(b->server);
	pool_free(b->pool);
	loop_free(b->loop);
	grpc_close(c);
}

static const ProtobufCMessage *nothing(void)
{
	static Google__Protobuf__Empty m = GOOGLE__PROTOBUF__EMPTY__INIT;

	return &m.base;
}

static int call(struct grpc_client *c, const char *method, struct arena *a, version_rsp **ret,
		const struct grpc_options *opt, struct err *e)
{
	char path[100];

	snprintf(path, sizeof path, "/test.Svc/%s", method);
	return grpc_call(c, path, nothing(), VERSION_RSP, a, (void **)ret, opt, e);
}

static struct grpc_stream *open_stream(struct grpc_client *c, const char *path)
{
	struct grpc_stream *s;
	struct err e = { 0 };

	CHECK_OK(grpc_stream_open(c, path, BLOB_RSP, NULL, &s, &e), &e);
	return s;
}

TEST(unary)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct err e = { 0 };
	version_rsp *r;
	struct grpc_options opt = { .timeout_ns = 10000000000, .lease = "second" };

	CHECK_OK(call(c, "Version", a, &r, NULL, &e), &e);
	CHECK_STR(r->version, "none");
	CHECK_STR(r->revision, "0 1");
	grpc_meta(c, "containerd-lease", "first");
	CHECK_OK(call(c, "Version", a, &r, &opt, &e), &e);
	CHECK_STR(r->version, "first"); /* of two */
	CHECK_STR(r->revision, "1 1");
	for (int i = 0; i < 300; i++)
		CHECK_OK(call(c, "Version", a, &r, NULL, &e), &e);
	CHECK(b.ended == 302);
	close_bench(&b, c);
}

TEST(a_response_may_be_encoded_before_the_end)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_options leased = { .lease = "x" };
	struct err e = { 0 };
	version_rsp *r;

	CHECK_OK(call(c, "Encode", a, &r, NULL, &e), &e);
	CHECK(strlen(r->version) == LARGE && strspn(r->version, "a") == LARGE);
	CHECK_FAIL(call(c, "Encode", a, &r, &leased, &e), &e, ERR_DATA_LOSS);
	close_bench(&b, c);
}

TEST(errors_and_unknown_names)
{
	static const struct {
		const char *path;
		enum err_code code;
		const char *text;
	} rows[] = {
		{ "/test.Svc/Fail", ERR_NOT_FOUND, "image \"ü%\": not found" },
		{ "/test.Svc/Nope", ERR_UNIMPLEMENTED, "unknown method Nope for service test.Svc" },
		{ "/test.Nope/Version", ERR_UNIMPLEMENTED, "unknown service test.Nope" },
		{ "/test.Svc/version", ERR_UNIMPLEMENTED,
		  "unknown method version for service test.Svc" },
		{ "/Version", ERR_UNIMPLEMENTED, "malformed method name: \"/Version\"" },
		{ "/test.Svc/", ERR_UNIMPLEMENTED, "unknown method  for service test.Svc" },
	};
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	void *r;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		CHECK_FAIL(grpc_call(c, rows[i].path, nothing(), VERSION_RSP, a, &r, NULL, &e), &e,
			   rows[i].code);
		CHECK_STR(e.msg, rows[i].text);
	}
	close_bench(&b, c);
}

TEST(server_stream_is_whole_and_ordered)
{
	static const struct {
		int64_t size, count;
		const char *error;
	} rows[] = {
		{ 10, 0, "" },       { 10, 0, "nothing" }, { 0, 3, "" },
		{ 1000, 2000, "" },  { 32768, 100, "" },   { 1 << 20, 20, "at the end" },
		{ 15 << 20, 2, "" },
	};
	struct bench b;
	struct grpc_client *c = open_bench(&b);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_GRPC_STREAM struct grpc_stream *s = open_stream(c, "/test.Svc/Read");
		struct err e = { 0 };
		blob_req q;
		int r;

		containerd__services__content__v1__write_content_request__init(&q);
		q.offset = rows[i].size;
		q.total = rows[i].count;
		q.ref = (char *)rows[i].error;
		CHECK_OK(grpc_stream_send(s, &q.base, &e), &e);
		CHECK_OK(grpc_stream_close_send(s, &e), &e);
		int64_t n = 0;
		for (;; n++) {
			AUTO_ARENA struct arena *a = arena_new();
			blob_rsp *m;

			r = grpc_stream_recv(s, a, (void **)&m, &e);
			if (r <= 0)
				break;
			CHECK(m->offset == n && (int64_t)m->data.len == rows[i].size);
		}
		CHECK(n == rows[i].count);
		CHECK(r == (*rows[i].error ? -1 : 0));
		CHECK(r == 0 || e.code == ERR_OUT_OF_RANGE);
	}
	close_bench(&b, c);
}

TEST(message_too_large_to_send)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *s = open_stream(c, "/test.Svc/Read");
	struct err e = { 0 };
	blob_req q;
	void *m;

	containerd__services__content__v1__write_content_request__init(&q);
	q.offset = 16 << 20;
	q.total = 1;
	CHECK_OK(grpc_stream_send(s, &q.base, &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	CHECK_FAIL(grpc_stream_recv(s, a, &m, &e), &e, ERR_RESOURCE_EXHAUSTED);
	grpc_stream_free(s);
	close_bench(&b, c);
}

TEST(client_and_bidi_streams)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_FREE uint8_t *data = xmalloc(9 << 20);
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *sum = open_stream(c, "/test.Svc/Sum"),
			   *echo = open_stream(c, "/test.Svc/Echo");
	struct err e = { 0 };
	blob_req q;
	blob_rsp *r;

	memset(data, 'x', 9 << 20);
	containerd__services__content__v1__write_content_request__init(&q);
	for (int i = 0; i < 5; i++) { /* two streams in turns, messages larger than any window */
		q.data = (ProtobufCBinaryData){ (size_t)(9 << 20) >> (4 * i), data };
		CHECK_OK(grpc_stream_send(sum, &q.base, &e), &e);
		CHECK_OK(grpc_stream_send(echo, &q.base, &e), &e);
		CHECK(grpc_stream_recv(echo, a, (void **)&r, &e) == 1);
		CHECK((size_t)r->offset == q.data.len);
	}
	for (int i = 0; i < 1000; i++) {
		q.data = (ProtobufCBinaryData){ 1000, data };
		CHECK_OK(grpc_stream_send(echo, &q.base, &e), &e);
	}
	CHECK_OK(grpc_stream_close_send(echo, &e), &e);
	for (int i = 0; i < 1000; i++)
		CHECK(grpc_stream_recv(echo, a, (void **)&r, &e) == 1 && r->offset == 1000);
	CHECK(grpc_stream_recv(echo, a, (void **)&r, &e) == 0);
	CHECK_OK(grpc_stream_close_send(sum, &e), &e);
	CHECK(grpc_stream_recv(sum, a, (void **)&r, &e) == 1);
	CHECK(r->offset == (9 << 20) + (9 << 16) + (9 << 12) + (9 << 8) + (9 << 4));
	CHECK(grpc_stream_recv(sum, a, (void **)&r, &e) == 0);
	grpc_stream_free(sum);
	grpc_stream_free(echo);
	close_bench(&b, c);
}

static struct rpc_call *wait_parked(struct bench *b)
{
	struct rpc_call *k;

	while (!(k = atomic_exchange(&b->parked, NULL)))
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	return k;
}

static void wait_for(atomic_int *n, int want)
{
	for (int i = 0; i < 5000 && *n != want; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	CHECK(*n == want);
}

TEST(parked_call_is_answered_from_another_thread)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *s;
	struct err e = { 0 };
	version_rsp *r;

	CHECK_OK(grpc_stream_open(c, "/test.Svc/Park", VERSION_RSP, NULL, &s, &e), &e);
	CHECK_OK(grpc_stream_send(s, nothing(), &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	CHECK_OK(call(c, "Version", a, &r, NULL, &e), &e); /* others go on meanwhile */
	struct rpc_call *k = wait_parked(&b);
	version_rsp *out = k->handler_data;
	out->version = arena_strdup(k->arena, "late");
	rpc_reply(k, out);
	CHECK(grpc_stream_recv(s, a, (void **)&r, &e) == 1);
	CHECK_STR(r->version, "late");
	CHECK(grpc_stream_recv(s, a, (void **)&r, &e) == 0);
	grpc_stream_free(s);
	close_bench(&b, c);
}

TEST(subscription_headers_come_at_once_and_cancel_reaches_it)
{
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *s = open_stream(c, "/test.Svc/Subscribe");
	struct err e = { 0 };

	CHECK_OK(grpc_stream_send(s, nothing(), &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	CHECK_OK(grpc_stream_wait_headers(s, &e), &e);
	CHECK(!grpc_stream_ready(s));
	grpc_stream_free(s); /* RST_STREAM */
	CHECK_OK(grpc_pump(c, &e), &e);
	wait_for(&b.cancelled, ERR_CANCELLED);
	wait_for(&b.ended, 1);
	close_bench(&b, c);
}

TEST(disconnect_cancels)
{
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *s = open_stream(c, "/test.Svc/Block");
	struct err e = { 0 };

	CHECK_OK(grpc_stream_send(s, nothing(), &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	wait_for(&b.in_handler, 1);
	grpc_close(c);
	wait_for(&b.cancelled, ERR_CANCELLED);
	wait_for(&b.in_handler, 0);
	close_bench(&b, NULL);
}

TEST(deadline_ends_a_call_on_both_sides)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_options opt = { .timeout_ns = 30000000 };
	struct err e = { 0 };
	version_rsp *r;

	CHECK_FAIL(call(c, "Block", a, &r, &opt, &e), &e, ERR_DEADLINE_EXCEEDED);
	CHECK_STR(e.msg, "context deadline exceeded");
	for (int i = 0; i < 5000 && !b.cancelled; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	wait_for(&b.ended, 1);
	close_bench(&b, c);
}

TEST(stop_waits_for_calls_then_cancels_them)
{
	struct bench b;
	struct grpc_client *c = open_bench(&b);
	struct grpc_stream *s = open_stream(c, "/test.Svc/Block");
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	void *m;

	CHECK_OK(grpc_stream_send(s, nothing(), &e), &e);
	CHECK_OK(grpc_stream_close_send(s, &e), &e);
	wait_for(&b.in_handler, 1);
	loop_post(b.loop, stop, &b);
	CHECK_FAIL(grpc_stream_recv(s, a, &m, &e), &e, ERR_UNAVAILABLE);
	pthread_join(b.thread, NULL);
	CHECK(b.in_handler == 0);
	grpc_server_free(b.server);
	pool_free(b.pool);
	loop_free(b.loop);
	grpc_close(c);
}

TEST(a_lost_connection_is_unavailable)
{
	struct grpc_client *c;
	struct err e = { 0 };
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	CHECK_OK(grpc_connect_fd(fds[1], &c, &e), &e);
	close(fds[0]);
	AUTO_ARENA struct arena *a = arena_new();
	version_rsp *r;
	CHECK_FAIL(call(c, "Version", a, &r, NULL, &e), &e, ERR_UNAVAILABLE);
	grpc_close(c);

	err_clear(&e);
	CHECK_FAIL(grpc_connect("/nonexistent/sock", 0, &c, &e), &e, ERR_UNAVAILABLE);
	CHECK_STR(e.msg, "connection error: desc = \"transport: error while dialing: dial unix "
			 "/nonexistent/sock: connect: no such file or directory\"");
}
