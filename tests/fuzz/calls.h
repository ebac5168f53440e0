/* A gRPC client for fuzz_services: bytes that no client's library would send, as messages of calls.
 *
 * One connection on one thread.  HTTP/2 is honest here (fuzz_grpc has the dishonest frames); what a
 * message holds is the fuzzer's. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

struct calls {
	int fd; /* owned by the client */
	uint32_t next; /* stream id */
	struct str out;
	size_t sent;
	uint8_t in[65536];
	size_t n_in;
};

struct calls_meta {
	const char *ns, *lease; /* NULL: no such header */
};

/* fd is a connected socket, and the client's from now on. */
void calls_open(struct calls *c, int fd_take);
void calls_close(struct calls *c);

/* Opens a call; its id. */
uint32_t calls_begin(struct calls *c, const char *service, const char *method,
		     const struct calls_meta *meta);
void calls_message(struct calls *c, uint32_t id, const uint8_t *data, size_t n, bool is_compressed);
void calls_end(struct calls *c, uint32_t id); /* no more messages */

/* Sends what waits, and reads until the call has ended or ms have passed.  False then, and the call
 * is cancelled.  A connection that the server ended is a trap. */
bool calls_wait(struct calls *c, uint32_t id, int ms);
