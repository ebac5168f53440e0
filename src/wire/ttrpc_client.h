/* A ttrpc client: many calls at once over one connection of a loop.
 *
 * Any thread may call; completions run on the loop's thread.  When the connection is lost, all open
 * calls fail with ERR_UNAVAILABLE "ttrpc: closed", and so does every later one: connect again
 * with a new client.  A call whose deadline passes fails with ERR_DEADLINE_EXCEEDED; a late answer
 * is dropped. */
#pragma once

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct loop;
struct ttrpc_client;

/* Connects to a unix socket ("unix://PATH" or a plain path; abstract ones are refused).  Any
 * thread; the client belongs to the caller until ttrpc_client_close(). */
int ttrpc_client_connect(struct loop *l, const char *address, struct ttrpc_client **ret,
			 struct err *e);

/* The same over a connected socket; fd is owned by the client from here on. */
struct ttrpc_client *ttrpc_client_new(struct loop *l, int fd);

/* fn(arg) runs on the loop's thread, once, when the peer goes away - not after our own close.
 * Set it before the first call. */
void ttrpc_client_on_lost(struct ttrpc_client *c, void (*fn)(void *arg), void *arg);

/* Any thread.  Open calls fail with ERR_CANCELLED.  The client is freed when the loop and all
 * waiting threads have let go of it; the caller's pointer is dead at once. */
void ttrpc_client_close(struct ttrpc_client *c);

bool ttrpc_client_is_lost(struct ttrpc_client *c); /* a hint: it may be lost right after */

/* The end of one call: e is NULL on success, and then payload holds the reply's n bytes. */
typedef void ttrpc_done_fn(const struct err *e, const uint8_t *payload, size_t n, void *arg);

struct ttrpc_target {
	const char *service, *method;
	const char *ns; /* sent as metadata; NULL: none */
	uint64_t timeout; /* ns; 0: none */
};

/* Returns an id for ttrpc_client_cancel().  done is called exactly once, never from inside. */
uint32_t ttrpc_client_call(struct ttrpc_client *c, const struct ttrpc_target *t,
			   const ProtobufCMessage *req, ttrpc_done_fn *done, void *arg);

/* Any thread: the call fails with ERR_CANCELLED, unless it has ended already. */
void ttrpc_client_cancel(struct ttrpc_client *c, uint32_t id);
void ttrpc_client_cancel_all(struct ttrpc_client *c); /* every call that is open now */

/* Sends and waits: for pool threads, never on the loop's own.  *ret is a new message of type rsp
 * (protobuf_c_message_free_unpacked(*ret, NULL)); rsp NULL drops the reply's body. */
int ttrpc_client_call_wait(struct ttrpc_client *c, const struct ttrpc_target *t,
			   const ProtobufCMessage *req, const ProtobufCMessageDescriptor *rsp,
			   ProtobufCMessage **ret, struct err *e);
