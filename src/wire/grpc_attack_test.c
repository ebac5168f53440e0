/* Attacks on HTTP/2 servers that have been published, and their like. */
#include "wire/grpc_bench.h"

#include "base/mem.h"
#include "base/test.h"

TEST(path_without_slash)
{
	struct bench *b = open_bench();

	one(b, "t.S/Version", NULL, NULL);
	CHECK(n_called == 0 && b->n_ended == 1);
	CHECK(strcmp(b->status, "0") != 0);
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

/* Streams whose clients say nothing hold a thread each: some are left for all other calls. */
TEST(silent_streams_leave_threads)
{
	struct bench *b = open_bench();
	const uint8_t *p;
	ssize_t n;

	settle(b);
	b->body_open = true;
	for (int i = 0; i < GRPC_MAX_WAITING + 10; i++)
		(void)request(b, "/t.S/Bidi", NULL, NULL);
	while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
		(void)grpc_conn_input(b->conn, p, (size_t)n);
	CHECK(b->run.n == GRPC_MAX_WAITING); /* the pool has not come to any of them */
	flush_server(b);
	CHECK_STR(b->status, "8");
	CHECK_STR(b->message, "192 streams are being served");
	b->body_open = false;
	(void)request(b, "/t.S/Version", NULL, NULL);
	while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
		(void)grpc_conn_input(b->conn, p, (size_t)n);
	CHECK(b->run.n == GRPC_MAX_WAITING + 1);
	settle(b); /* parked ones have given their threads back */
	CHECK(b->env.waiting == 0 && n_parked == GRPC_MAX_WAITING);
	one(b, "/t.S/Read", NULL, NULL);
	CHECK_STR(b->status, "0");
	close_bench(b);
}

/* So do unary calls that wait for their clients, some of them with two threads. */
TEST(waiting_calls_leave_threads)
{
	struct bench *b = open_bench();
	const uint8_t *p;
	ssize_t n;

	settle(b);
	for (int i = 0; i < GRPC_MAX_WAITING; i++)
		(void)request(b, "/t.S/Slow", NULL, NULL);
	while ((n = nghttp2_session_mem_send(b->client, &p)) > 0)
		(void)grpc_conn_input(b->conn, p, (size_t)n);
	CHECK(b->run.n == GRPC_MAX_WAITING / 2);
	flush_server(b);
	CHECK_STR(b->status, "8");
	CHECK_STR(b->message, "too many calls of Slow at once");
	settle(b);
	CHECK(b->env.waiting == 0 && n_parked == GRPC_MAX_WAITING / 2);
	one(b, "/t.S/Version", NULL, NULL);
	CHECK_STR(b->status, "0");
	close_bench(b);
}

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

TEST(garbage)
{
	struct bench *b = open_bench();

	CHECK(grpc_conn_input(b->conn, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18) < 0);
	CHECK(grpc_conn_input(b->conn, (const uint8_t *)"x", 1) < 0);
	flush_server(b);
	CHECK(grpc_conn_is_over(b->conn));
	close_bench(b);
}

/* Large answers that are never read, since the client keeps its windows closed. */
TEST(unread_answers_are_bounded)
{
	struct bench *b = open_bench();
	nghttp2_settings_entry s = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0 };
	size_t most = 0;

	CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
	settle(b);
	for (int i = 0; i < 1000; i++) {
		(void)request(b, "/t.S/Read", NULL, NULL);
		settle(b);
		most = b->conn->queued > most ? b->conn->queued : most;
	}
	CHECK(most > GRPC_MAX_BUFFERED / 2 && most <= GRPC_MAX_BUFFERED + (1 << 20));
	CHECK(b->reset == NGHTTP2_REFUSED_STREAM + 1);
	s.value = 1 << 20;
	CHECK(nghttp2_submit_settings(b->client, 0, &s, 1) == 0);
	settle(b);
	CHECK(b->conn->queued == 0);
	one(b, "/t.S/Version", NULL, NULL);
	CHECK_STR(b->status, "0");
	close_bench(b);
}
