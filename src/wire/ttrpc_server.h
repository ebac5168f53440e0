/* A ttrpc server of unary calls on one loop: the shim's task service, the daemon's event sink.
 *
 * Handlers run on the loop's thread and must not block: a handler answers every call exactly once,
 * at once or later (a parked call), with ttrpc_reply() or ttrpc_fail().  The answer may be
 * given from any thread; the call is gone afterwards.  When the peer goes away first, on_cancel (if
 * the handler set one) is called once on the loop's thread; the answer is still owed, and dropped.
 *
 * Peers whose uid and gid differ from our own effective ones are turned away. */
#pragma once

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct loop;
struct str;
struct ttrpc_server;

struct ttrpc_call {
	void *user; /* of ttrpc_server_new() */
	const struct ttrpc_method *method;
	const void *req; /* the decoded message; lives as long as the call */
	const char *ns; /* containerd-namespace-ttrpc; "" when absent */
	uint64_t deadline; /* loop_now() time; 0: none */
	struct str
		*trace; /* for a caller that wants to know (loop/trace.h): goes with the answer */
	void (*on_cancel)(struct ttrpc_call *c); /* the handler may set these two */
	void *data;
};

typedef void ttrpc_handler(struct ttrpc_call *c);

struct ttrpc_method {
	const char *service, *method; /* "containerd.task.v3.Task", "Create" */
	const ProtobufCMessageDescriptor *request;
	ttrpc_handler *fn;
};

/* listen_fd is owned by the server from here on; -1: only ttrpc_server_add() brings connections.
 * methods is borrowed, and ends with an entry whose
 * service is NULL. */
struct ttrpc_server *ttrpc_server_new(struct loop *l, int listen_fd,
				      const struct ttrpc_method *methods, void *user);

/* One connected socket, taken as it is: who the peer may be is the caller's to know. */
void ttrpc_server_add(struct ttrpc_server *s, int fd_take);

/* Closes all connections.  Open calls are cancelled and may still be answered, to nobody. */
void ttrpc_server_free(struct ttrpc_server *s);

/* No new connections; fn(arg) runs once all that was answered is written (or after 1 s). */
void ttrpc_server_drain(struct ttrpc_server *s, void (*fn)(void *arg), void *arg);

size_t ttrpc_server_connections(const struct ttrpc_server *s);

/* fn(arg) runs whenever the last connection is gone. */
void ttrpc_server_on_alone(struct ttrpc_server *s, void (*fn)(void *arg), void *arg);

/* rsp is any message; NULL is an empty one. */
void ttrpc_reply(struct ttrpc_call *c, const ProtobufCMessage *rsp);
void ttrpc_fail(struct ttrpc_call *c, const struct err *e);
