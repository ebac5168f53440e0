/* The server's side of a call, as the API's handlers see it.
 *
 * A handler is a straight-line function on a pool thread:
 *
 *	static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
 *
 * req is the decoded request and rsp an initialised response to fill in; what rsp points to comes
 * from c->arena (or lives longer than the call).  0 sends rsp, -1 sends e.  Both messages and the
 * arena live until the call has ended.
 *
 * Two ways to serve a call, and no third:
 *  - blocking: the handler returns when it is done.  rpc_send(), rpc_recv() and every helper that
 *    takes c->cancel return -1 when the client goes away.
 *  - parked: the handler stores c with the object that will complete it and returns RPC_PARKED.
 *    From then on the call belongs to that object, which ends it by exactly one rpc_reply() or
 *    rpc_finish(), from any thread - also after a cancel: then nothing is sent, but the call's
 *    memory goes.  To be told of a cancel set a hook with rpc_on_cancel() before storing c.
 *
 * Streams: by kind, req is NULL where the client streams (use rpc_recv()) and rsp is NULL where
 * the server streams (use rpc_send()).  A streaming handler that returns 0 ends the stream well.
 *
 * Nothing here may be called on the loop's thread but from hooks, and there only what says so.  The
 * handlers of immediate methods run there, and may only return. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "loop/cancel.h"
#include "loop/trace.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <sys/types.h>

enum { RPC_PARKED = 1 };

struct rpc_call;
typedef int rpc_fn(struct rpc_call *c, const void *req, void *rsp, struct err *e);

enum rpc_kind {
	RPC_KIND_UNARY,
	RPC_KIND_SERVER_STREAM, /* one request, many responses */
	RPC_KIND_CLIENT_STREAM, /* many requests, one response */
	RPC_KIND_BIDI_STREAM,
};

struct rpc_method {
	const char *name; /* "Create"; NULL ends a table */
	enum rpc_kind kind;
	const ProtobufCMessageDescriptor *request, *response;
	rpc_fn *fn;
	unsigned waits; /* a unary one's: threads that may stand still for its client */
	bool is_immediate; /* a unary one's: runs on the loop's thread, so it waits for nothing at
			      all */
};

/* req and rsp are the generated prefixes: containerd__services__version__v1__version_response. */
#define RPC_METHOD_(k, n, req, rsp, f, w, immediate)                          \
	{                                                                     \
		n, k, &req##__descriptor, &rsp##__descriptor, f, w, immediate \
	}
#define RPC_UNARY(n, req, rsp, f) RPC_METHOD_(RPC_KIND_UNARY, n, req, rsp, f, 0, false)
#define RPC_UNARY_WAITING(n, req, rsp, f, w) RPC_METHOD_(RPC_KIND_UNARY, n, req, rsp, f, w, false)
/* What answers from memory: two changes of thread would take longer than it does. */
#define RPC_UNARY_IMMEDIATE(n, req, rsp, f) RPC_METHOD_(RPC_KIND_UNARY, n, req, rsp, f, 0, true)
#define RPC_SERVER_STREAM(n, req, rsp, f) \
	RPC_METHOD_(RPC_KIND_SERVER_STREAM, n, req, rsp, f, 0, false)
#define RPC_CLIENT_STREAM(n, req, rsp, f) \
	RPC_METHOD_(RPC_KIND_CLIENT_STREAM, n, req, rsp, f, 0, false)
#define RPC_BIDI_STREAM(n, req, rsp, f) RPC_METHOD_(RPC_KIND_BIDI_STREAM, n, req, rsp, f, 0, false)
#define RPC_END   \
	{         \
		0 \
	}

struct rpc_service {
	const char *name; /* "containerd.services.version.v1.Version"; NULL ends an array */
	const struct rpc_method *methods; /* ended by RPC_END */
};

/* What a handler may read.  The transport embeds it in its own struct. */
struct rpc_call {
	void *user; /* given to the server: the struct engine */
	const struct rpc_service *service;
	const struct rpc_method *method;
	struct arena *arena; /* the call's: freed after the end. One thread at a time uses it. */
	uint64_t deadline; /* CLOCK_MONOTONIC ns; 0: none */
	struct cancel *cancel;
	pid_t peer_pid; /* of the connection; 0 when unknown */
	uid_t peer_uid;
	gid_t peer_gid;
	uint64_t started; /* CLOCK_MONOTONIC ns */
	struct trace_span span; /* of a call that is traced */
	void *handler_data; /* the handler's own; the transport never looks at it */
};

/* The first value of a metadata header (lower-case name), or NULL.  Of repeated headers the first
 * one counts: BuildKit sends containerd-lease twice. Any thread. Lives as long as the call. */
const char *rpc_meta(const struct rpc_call *c, const char *name);

/* Ends a parked call: with its response (the rsp that the handler got, or NULL for a server
 * stream), or with *e when e is not NULL.  Any thread, hooks too; exactly once; c is gone after. */
void rpc_finish(struct rpc_call *c, const void *rsp, const struct err *e);
static inline void rpc_reply(struct rpc_call *c, const void *rsp)
{
	rpc_finish(c, rsp, NULL);
}

/* Encodes rsp at once: what it borrows need not outlive this call.  These bytes are sent when the
 * handler, a unary method's that does this once, then returns 0. */
int rpc_encode(struct rpc_call *c, const void *rsp, struct err *e);

/* fn(c, arg) runs once, on the loop's thread, when the client cancels, disconnects or its deadline
 * passes while the call is alive; at once and on this thread when that has happened already.  It
 * must be short: unlink c from where it is stored (under that object's lock) and rpc_finish() it
 * if it was still there.  c stays valid during fn even when another thread finishes it. */
typedef void rpc_hook_fn(struct rpc_call *c, void *arg);
void rpc_on_cancel(struct rpc_call *c, rpc_hook_fn *fn, void *arg);

/* Streams.
 * rpc_headers sends the response headers at once: subscriptions, where clients wait for them.
 * Without it they go with the first message. Any thread. */
void rpc_headers(struct rpc_call *c);

/* Encodes msg and queues it; blocks while RPC_SEND_WINDOW bytes are waiting for the client.
 * Any thread but the loop's, one at a time; parked calls too. -1 when the call is cancelled. */
enum { RPC_SEND_WINDOW = 256 * 1024 };
int rpc_send(struct rpc_call *c, const void *msg, struct err *e);

/* As rpc_send, but never blocks: 1 when queued, 0 when there is no room - then the writable hook
 * is called once (on the loop's thread, same rules as rpc_on_cancel's) when there is room again.
 * Any thread, hooks too. */
int rpc_try_send(struct rpc_call *c, const void *msg, struct err *e);
void rpc_on_writable(struct rpc_call *c, rpc_hook_fn *fn, void *arg);

/* The next message of the client: 1 and *ret, which is borrowed until the next rpc_recv() or the
 * end of the call; 0 when the client has closed its side; -1 when the call is cancelled or the
 * bytes are no such message.  Blocks; any thread but the loop's, one at a time. */
int rpc_recv(struct rpc_call *c, const void **ret, struct err *e);

/* As rpc_recv, but RPC_AGAIN instead of blocking; then the readable hook is called once when
 * something (a message, the end, a cancel) is there.  Any thread. */
enum { RPC_AGAIN = 2 };
int rpc_try_recv(struct rpc_call *c, const void **ret, struct err *e);
void rpc_on_readable(struct rpc_call *c, rpc_hook_fn *fn, void *arg);
