/* [grpc] tcp_address: a second gRPC server, for machines elsewhere.  Only services that the
 * originals serve there are on it (api_tcp_services), never those of the socket: who is root there
 * is root here. */
#pragma once

#include "engine/engine.h"
#include "wire/grpc_server.h"

struct tcp;

/* The loop's thread.  Nothing is configured: *ret is NULL. */
int tcp_new(struct engine *en, void (*set_up)(struct grpc_server *s, const struct config *cfg),
	    struct tcp **ret, struct err *e);

/* No new connections; done(arg) when there is none left.  NULL: at once. */
void tcp_stop(struct tcp *t, uint64_t grace_ns, void (*done)(void *), void *arg);
void tcp_close(
	struct tcp *t); /* NULL is fine: connections by TLS end; before the loop is drained */
void tcp_free(struct tcp *t); /* NULL is fine; after done() */
