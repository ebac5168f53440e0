/* One HTTP/2 connection of the gRPC server, without a socket: bytes in, bytes out.  Private to
 * wire/grpc_*.c and its tests.
 *
 * Threads: all of struct grpc_conn, and the parts of struct grpc_call marked "loop", belong to the
 * loop's thread.  Workers touch a call only under its lock and send their results as posted
 * operations, in order; the operation of rpc_finish() is a call's last, so a call has two owners,
 * both counted on the loop's thread: its stream, and its handler. */
#pragma once

#include "os/socket.h"
#include "wire/grpc_message.h"
#include "wire/grpc_server.h"

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

struct grpc_conn;

/* Where calls run and how results come back: the loop and the pool, or a test's queues. */
struct grpc_env {
	void (*run)(struct grpc_env *env, void (*fn)(void *), void *arg); /* on a worker */
	void (*post)(struct grpc_env *env, void (*fn)(void *), void *arg); /* on the loop */
	void (*wake)(struct grpc_conn *c); /* output or a new deadline waits (loop) */
	void (*call_gone)(struct grpc_env *env); /* a call's memory went (loop) */
	const struct rpc_service *services;
	size_t max_recv, max_send; /* bytes of one message; 0: GRPC_MAX_MESSAGE */
	void *user;
	grpc_log_fn *log;
	grpc_start_fn *start;
	size_t calls; /* alive, over all connections (loop) */
	atomic_uint waiting; /* threads that calls have, or will have, to wait for their clients */
};

struct meta {
	const char *name, *value;
	struct meta *next;
};

struct out_chunk {
	struct out_chunk *next;
	uint8_t *data;
	size_t len, at;
};

struct hook {
	rpc_hook_fn *fn;
	void *arg;
};

struct grpc_call {
	struct rpc_call rpc; /* first: the handler's view */
	struct grpc_env *env;
	struct cancel cancel;
	struct meta *meta; /* complete before the handler starts */

	/* loop */
	struct grpc_conn *conn; /* NULL once the connection is gone */
	struct grpc_call *next, *prev; /* in conn->calls */
	int32_t stream_id; /* 0 once the stream is closed */
	unsigned refs;
	size_t header_bytes;
	struct {
		char *method, *path, *content_type, *encoding, *timeout; /* in the arena */
	} head;
	struct grpc_reader reader;
	unsigned n_messages;
	size_t charged; /* of conn->buffered */
	size_t held; /* bytes of the stream's window not yet given back */
	bool is_dispatched, in_closed;
	bool headers_sent, response_submitted, is_deferred, is_ending, end_sent;
	struct out_chunk *out, **out_tail;
	enum err_code end_code;
	char *end_text; /* percent-encoded */
	/* Of a unary call whose client asked (loop/trace.h); the handler's until it has ended or
	 * parked the call, then the loop's. */
	struct str *trace;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	uint8_t *encoded; /* the handler's, by rpc_encode() */
	size_t n_encoded;
	struct grpc_msg *in, **in_tail;
	size_t in_bytes;
	bool in_eof;
	struct err in_error; /* what the bytes of the client failed with */
	size_t out_pending; /* queued by rpc_send and not yet handed to HTTP/2 */
	bool is_cancelled, is_finished;
	struct hook on_cancel, on_writable, on_readable;
	bool wants_writable, wants_readable;
	struct arena *recv_arena; /* of the last message given to the handler; the receiver's own */
};

struct grpc_conn {
	struct grpc_env *env;
	nghttp2_session *ng;
	void *owner; /* the server's struct for the socket */
	struct socket_peer peer;
	struct grpc_call *calls; /* with a stream or a handler */
	unsigned n_calls, n_streams;
	size_t buffered; /* received, not yet taken by handlers */
	size_t queued; /* answered, not yet sent: the client's windows are its own choice */
	uint64_t soonest; /* no deadline lies before it; 0: none */
	int64_t budget; /* of control frames */
	uint64_t budget_at;
	bool is_draining, is_broken;
	struct {
		uint8_t *p;
		size_t n, enough;
	} out; /* of grpc_conn_output, while it runs */
};

enum { GRPC_WINDOW = 256 * 1024 }; /* of a stream; messages larger than it pass piecewise */

struct grpc_conn *grpc_conn_new(struct grpc_env *env, void *owner);
void grpc_conn_free(struct grpc_conn *c); /* cancels what still runs */

/* Bytes from the client. -1: send what grpc_conn_output still gives, then close. */
int grpc_conn_input(struct grpc_conn *c, const uint8_t *p, size_t n);

/* The next frames for the client, until there are `enough` bytes of them; the last one may take
 * GRPC_FRAME_MAX more, which buf must have room for.  Their number; 0 none now, -1 broken. */
enum { GRPC_FRAME_MAX = 9 + 16384 };
ssize_t grpc_conn_output(struct grpc_conn *c, uint8_t *buf, size_t enough);

bool grpc_conn_is_over(const struct grpc_conn *c); /* nothing more will come or go */
bool grpc_conn_may_read(const struct grpc_conn *c); /* false while too much output waits */
void grpc_conn_drain(struct grpc_conn *c); /* GOAWAY; open calls go on */
void grpc_conn_cancel_all(struct grpc_conn *c);
void grpc_conn_expire(struct grpc_conn *c, uint64_t now); /* deadlines up to now */

/* grpc_call.c */
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream_id);
void grpc_call_unref(struct grpc_call *k);
int grpc_call_find(struct grpc_call *k, struct err *e); /* the method for its path */
void grpc_call_dispatch(struct grpc_call *k);
void grpc_call_cancel(struct grpc_call *k, enum err_code code);
void grpc_call_drop_input(struct grpc_call *k);
void grpc_call_sent(struct grpc_call *k, size_t n); /* n bytes left the queue */
void grpc_call_arrived(struct grpc_call *k, struct grpc_msg *msg_take);
void grpc_call_input_end(struct grpc_call *k, const struct err *error); /* NULL: half-closed */

/* grpc_out.c: loop's thread */
void grpc_out_headers(struct grpc_call *k);
void grpc_out_data(struct grpc_call *k, uint8_t *data_take, size_t n);
void grpc_out_end(struct grpc_call *k, const struct err *e); /* NULL: OK */
void grpc_out_http_error(struct grpc_call *k, const char *status, const struct err *e);
int grpc_out_frame(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head, size_t n,
		   nghttp2_data_source *source, void *user); /* nghttp2's send_data callback */
void grpc_out_free(struct grpc_call *k);
void grpc_out_consume(struct grpc_call *k); /* gives the window back if there is room */
