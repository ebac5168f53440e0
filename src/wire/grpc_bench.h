/* For tests of the gRPC connection as a machine: bytes in, bytes out, no socket, no thread.  The
 * client is nghttp2's where it is honest, and frames by hand where it is not.  The service t.S has
 * Version, Park (never answers by itself), Read (256 KiB in four messages) and Bidi (as Park). */
#pragma once

#include "wire/grpc_conn.h"

struct job {
	void (*fn)(void *);
	void *arg;
};

struct queue {
	struct job v[8192];
	size_t n;
};

extern struct rpc_call *parked[8192]; /* calls that do_park() holds */
extern size_t n_parked, n_called;

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

void run_queue(struct queue *q);

struct bench *open_bench(void);

/* Server's bytes to the client. */
void flush_server(struct bench *b);

/* Both ways and all jobs until nothing moves. step: bytes given at once. */
void settle_by(struct bench *b, size_t step);

void settle(struct bench *b);

void close_bench(struct bench *b);

nghttp2_nv nv(const char *name, const char *value);

/* A request with one more header (NULL: none); the body is empty_message unless b has another. */
int32_t request(struct bench *b, const char *path, const char *name, const char *value);

void one(struct bench *b, const char *path, const char *name, const char *value);
