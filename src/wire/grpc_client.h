/* gRPC client over a unix socket, single-threaded: no thread of its own, any number of calls open
 * at the same time on one connection.
 *
 * Simple use blocks:
 *
 *	grpc_connect("/run/containerd/containerd.sock", timeout_ns, &c, e);
 *	grpc_meta(c, "containerd-namespace", "default");
 *	grpc_call(c, "/containerd.services.version.v1.Version/Version", &empty.base,
 *	          &containerd__services__version__v1__version_response__descriptor,
 *	          arena, (void **)&rsp, NULL, e);
 *
 * Several things at once: open streams (a unary call is a stream with one message each way), then
 * either block in grpc_stream_recv() of one - the others' messages queue up meanwhile, to
 * GRPC_MAX_MESSAGE or one message, then flow control holds the server back - or poll yourself:
 *
 *	for (;;) {
 *		while (grpc_stream_ready(wait)) ...; while (grpc_stream_ready(progress)) ...
 *		poll({ grpc_fd(c), grpc_events(c) }, { tty } ...);
 *		grpc_pump(c, e);
 *	}
 *
 * Errors carry the server's status code; e->msg is its grpc-message as sent (class text
 * included: err_text() does not repeat it).  A lost connection is ERR_UNAVAILABLE. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct cancel;
struct grpc_client;
struct grpc_stream;

/* Connects (retrying until timeout_ns has passed while the socket is not there yet; 0: one try)
 * and sends the preface.  The error is grpc-go's: `connection error: desc = "transport: error
 * while dialing: dial unix PATH: connect: no such file or directory"`. */
int grpc_connect(const char *path, uint64_t timeout_ns, struct grpc_client **ret, struct err *e);
/* The same for a server that may hang, without one that is not there being waited for: c (or NULL)
 * and the deadline (0: none) end the wait. */
int grpc_connect_until(const char *path, struct cancel *c, uint64_t deadline,
		       struct grpc_client **ret, struct err *e);
int grpc_connect_fd(int fd_take, struct grpc_client **ret, struct err *e); /* a socket pair */
void grpc_close(struct grpc_client *c); /* frees streams still open; NULL is fine */
static inline void grpc_closep(struct grpc_client **c)
{
	grpc_close(*c);
}
#define AUTO_GRPC CLEANUP(grpc_closep)

/* A header sent with every later call. */
void grpc_meta(struct grpc_client *c, const char *key, const char *value);

/* Asks with every later call where its time goes (loop/trace.h): what the server answers is added
 * to *log, and a record of the call itself, from `who`.  Both are borrowed until NULL ends it. */
struct str;
void grpc_trace(struct grpc_client *c, struct str *log, const char *who);

struct grpc_options {
	uint64_t timeout_ns; /* sent as grpc-timeout and kept here too; 0: none */
	const char *lease; /* containerd-lease, or NULL */
};

/* One unary call. The response is decoded into a. opt may be NULL. */
int grpc_call(struct grpc_client *c, const char *path, const ProtobufCMessage *req,
	      const ProtobufCMessageDescriptor *rsp_type, struct arena *a, void **ret_rsp,
	      const struct grpc_options *opt, struct err *e);

/* Opens a call; its messages are decoded as rsp_type. Fails only when the connection is lost. */
int grpc_stream_open(struct grpc_client *c, const char *path,
		     const ProtobufCMessageDescriptor *rsp_type, const struct grpc_options *opt,
		     struct grpc_stream **ret, struct err *e);

/* Queues a message; blocks while more than 256 KiB are waiting to be sent on this stream. */
int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e);
int grpc_stream_send_last(struct grpc_stream *s, const ProtobufCMessage *msg,
			  struct err *e); /* the same, and the half close, in one */
int grpc_stream_close_send(struct grpc_stream *s, struct err *e); /* half close */

/* The next message: 1 and *ret decoded into a; 0 at the end with status OK; -1 otherwise. Blocks.
 */
int grpc_stream_recv(struct grpc_stream *s, struct arena *a, void **ret, struct err *e);

/* The answer of a unary call that was opened as a stream: that the others may go on meanwhile. */
int grpc_stream_result(struct grpc_stream *s, struct arena *a, void **ret, struct err *e);

/* Blocks until the response headers are there: subscriptions are alive then. */
int grpc_stream_wait_headers(struct grpc_stream *s, struct err *e);

/* True when grpc_stream_recv() would not block: a message, the end or an error is there. */
bool grpc_stream_ready(const struct grpc_stream *s);

/* RST_STREAM(CANCEL) when it is still open, then frees it. NULL is fine. */
void grpc_stream_free(struct grpc_stream *s);
static inline void grpc_stream_freep(struct grpc_stream **s)
{
	grpc_stream_free(*s);
}
#define AUTO_GRPC_STREAM CLEANUP(grpc_stream_freep)

/* For an event loop or poll(2) of the caller's own. */
int grpc_fd(const struct grpc_client *c); /* borrowed */
short grpc_events(const struct grpc_client *c); /* POLLIN and, when bytes wait, POLLOUT */
int grpc_pump(struct grpc_client *c,
	      struct err *e); /* reads and writes what goes without blocking */
