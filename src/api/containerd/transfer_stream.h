/* What a transfer says over its streams: progress, the question for credentials, credit for bytes.
 */
#pragma once

#include "api/containerd/streaming.h"
#include "image/transfer.h"

struct pool;

/* A client that has left misses it; the transfer goes on. */
void transfer_send_progress(struct stream *st, const struct transfer_progress *p);

/* Blocks until the client has answered. */
int transfer_ask_credentials(struct stream *st, struct arena *a, const char *host,
			     const char *reference, const char *const *www_authenticate,
			     struct transfer_credentials *ret, struct err *e);

/* The bytes of a client's stream as a pipe to read, filled by a pool thread of its own, which ends
 * the stream when either side is done.  Takes st, also on failure. */
int transfer_pump(struct pool *pool, struct stream *st, struct err *e);

/* The other way: a pipe to write, emptied into the client's stream as it grants credit.  Takes st,
 * also on failure.  *ret_fd is the caller's, to be closed before transfer_outflow_end(), which
 * waits until the client has all of it (or is gone: *e then says so) and ends the stream. */
struct outflow;
int transfer_outflow_new(struct pool *pool, struct stream *st, int *ret_fd, struct outflow **ret,
			 struct err *e);
int transfer_outflow_end(struct outflow *o, struct err *e);
