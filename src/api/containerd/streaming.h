/* Streams that clients open ahead of a transfer, by an id of their choice: progress, credentials
 * and bytes of archives go over them.
 *
 * A stream waits here until a transfer takes it; who has taken it may use its call (rpc_send,
 * rpc_recv) on one thread at a time, and gives it back by stream_end(), which ends the call.  A
 * client that leaves takes its waiting streams with it; one that is taken sees a cancelled call. */
#pragma once

#include "base/err.h"

struct rpc_call;
struct stream;
struct streams;

enum { STREAMS_MAX = 1024, STREAM_ID_MAX = 256 };

struct streams *streams_new(void);
void streams_free(struct streams *s); /* after the servers have stopped */

/* Takes the waiting stream of that id.  ERR_NOT_FOUND `stream "ID"`. */
int stream_take(struct streams *s, const char *ns, const char *id, struct stream **ret,
		struct err *e);

struct rpc_call *stream_call(struct stream *st);
void stream_end(struct stream *st); /* NULL is fine */
