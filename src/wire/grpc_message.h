/* gRPC messages on the wire: 5 bytes of prefix (flag, length), then protobuf.  Shared by server
 * and client; no I/O, no threads. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

enum { GRPC_PREFIX = 5 };

struct grpc_msg {
	struct grpc_msg *next;
	size_t len;
	uint8_t data[];
};

/* Puts messages together from bytes that come in any cut.  Memory grows with the bytes that are
 * there, never with the length that the prefix claims. */
struct grpc_reader {
	uint8_t prefix[GRPC_PREFIX];
	unsigned prefix_len;
	struct grpc_msg *msg; /* being filled; NULL between messages */
	size_t want, cap; /* of msg, once the prefix is complete */
	size_t max;
};

void grpc_reader_init(struct grpc_reader *r, size_t max);
void grpc_reader_done(struct grpc_reader *r);

/* Bytes held for a message that is not complete. */
size_t grpc_reader_held(const struct grpc_reader *r);

/* Inside a message: the end of the stream here is an error. */
static inline bool grpc_reader_is_mid(const struct grpc_reader *r)
{
	return r->prefix_len > 0;
}

/* Takes bytes up to the end of one message; *ret_used says how many.  1: *ret is a message that
 * the caller frees; 0: all bytes are used, more are needed; -1: too large (RESOURCE_EXHAUSTED),
 * compressed or a wrong flag (INTERNAL). */
int grpc_reader_feed(struct grpc_reader *r, const uint8_t *p, size_t n, size_t *ret_used,
		     struct grpc_msg **ret, struct err *e);

/* Prefix and message, ready to send; the caller frees *ret. RESOURCE_EXHAUSTED above max. */
int grpc_encode(const ProtobufCMessage *msg, size_t max, uint8_t **ret, size_t *ret_len,
		struct err *e);

/* Decodes into a.  Checked beyond what protobuf-c does: strings are UTF-8 (other clients could
 * not read them back), memory is bounded (empty messages in a repeated field cost 2 bytes on the
 * wire and 100 here). ERR_INTERNAL when the bytes are no such message, as grpc-go says it. */
int grpc_decode(const ProtobufCMessageDescriptor *type, struct arena *a, const void *p, size_t n,
		void **ret, struct err *e);
