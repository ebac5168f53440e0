/* gRPC over HTTP/2 in clear text on unix sockets: bytes in, calls out (wire/rpc.h), replies back.
 *
 * One server has one set of services, any number of listening sockets, and lives on one loop's
 * thread: every function here belongs to that thread unless it says otherwise.  Handlers run on
 * the pool.
 *
 * Bounds (all per connection unless said): GRPC_MAX_CONNS connections a server, GRPC_MAX_STREAMS
 * open streams, 16 MiB a message, 64 KiB of header list, 64 MiB of received bytes not yet taken
 * by handlers, 64 MiB of answers that the client does not read before new calls are refused (four
 * times that before answers are), and a budget of control frames (PING, SETTINGS, RST_STREAM,
 * PRIORITY, empty DATA) that refills with time and with useful work; who passes it gets
 * GOAWAY(ENHANCE_YOUR_CALM).  GRPC_MAX_WAITING threads of streams and of waiting unary calls a
 * server may stand still for what their clients do or don't: the pool's others are for all else. */
#pragma once

#include "loop/loop.h"
#include "loop/pool.h"
#include "wire/rpc.h"

enum {
	GRPC_MAX_CONNS = 1024,
	GRPC_MAX_STREAMS = 1024,
	GRPC_MAX_MESSAGE = 16 * 1024 * 1024,
	GRPC_MAX_HEADER_LIST = 64 * 1024,
	GRPC_MAX_BUFFERED = 64 * 1024 * 1024,
	GRPC_MAX_WAITING = POOL_MAX - 64,
};

struct grpc_server;

/* services: NULL-name-terminated array that outlives the server; user is every call's ->user. */
struct grpc_server *grpc_server_new(struct loop *loop, struct pool *pool,
				    const struct rpc_service *services, void *user);

/* Serves a listening unix socket (os/socket.h); the server takes the fd.  -errno on failure. */
int grpc_server_listen(struct grpc_server *s, int fd_take);

/* Serves one connected stream socket: socket pairs of tests, accepted elsewhere. */
int grpc_server_add(struct grpc_server *s, int fd_take);

/* Called after every call, on the thread that ended it: the access log.  code 0 is success. */
typedef void grpc_log_fn(const struct rpc_call *c, const struct err *e);
void grpc_server_log(struct grpc_server *s, grpc_log_fn *fn);

/* Called before a call's handler starts, on the loop's thread: must be short. */
typedef void grpc_start_fn(const struct rpc_call *c);
void grpc_server_on_start(struct grpc_server *s, grpc_start_fn *fn);

/* Other bounds than GRPC_MAX_MESSAGE for one message, before the first connection. */
void grpc_server_limits(struct grpc_server *s, size_t max_recv, size_t max_send);

/* Graceful end: closes the listeners, sends GOAWAY, lets calls run for grace_ns, then cancels
 * them; done(arg) runs on the loop when no connection and no call is left. */
void grpc_server_stop(struct grpc_server *s, uint64_t grace_ns, void (*done)(void *), void *arg);

/* Only after done(), or when nothing was ever added. */
void grpc_server_free(struct grpc_server *s);
