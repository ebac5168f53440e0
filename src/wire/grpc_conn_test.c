/* One connection and an honest client. */
#include "wire/grpc_bench.h"

#include "base/mem.h"
#include "base/test.h"
#include "loop/loop.h"

#include "containerd/services/version/v1/version.pb-c.h"

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

/* A ping for each answer, as grpc-go's bandwidth estimator sends them, is no flood. */
/* The client does not read: acks must not pile up without a bound. */
/* CVE-2026-78669: each window change touches every stream. */
/* CVE-2023-44487: streams that are reset at once; their handlers must stay few. */
/* CVE-2023-45288 */
/* CVE-2026-78659: what comes behind the body counts, too. */
/* CVE-2026-97032: sizes of the HPACK table that change between requests. */
/* A client may shrink its window in mid-stream, below zero, and grow it again. */
TEST(windows_change_in_mid_stream)
{
	struct bench *b = open_bench();
	nghttp2_settings_entry s = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000 };

	CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
	uint8_t frame[1 + GRPC_FRAME_MAX];

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
		for (int k = 0; k < i && (n = grpc_conn_output(b->conn, frame, 1)) > 0; k++)
			(void)nghttp2_session_mem_recv(b->client, frame, (size_t)n);
	}
	settle(b);
	CHECK_STR(b->status, "0");
	CHECK(b->bytes == 4 * (65536 + 5 + 4));
	close_bench(b);
}

/* CVE-2026-78663: what a reset stream had sent is let go at once. */
/* Handlers that take nothing: the client is held back by its stream's window. */
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
