/* ttrpc's frames, without a socket: bytes in, frames out, and the other way round.
 *
 * A frame is a header of ten bytes (body length, stream id, type, flags; big endian) and a body of
 * at most 4 MiB.  The reader grows with the bytes that really came, never with the length that a
 * header claims; a body that is too long is skipped and reported, and the stream lives on.
 * Pure: one thread at a time, no system calls. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { TTRPC_HEADER = 10, TTRPC_MAX_BODY = 4194304 };

enum ttrpc_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };

enum ttrpc_flags {
	TTRPC_REMOTE_CLOSED = 0x01, /* the sender says no more on this stream */
	TTRPC_REMOTE_OPEN = 0x02, /* the sender will stream */
	TTRPC_NO_DATA = 0x04, /* the body is no message */
};

struct ttrpc_frame {
	uint32_t stream;
	uint8_t type, flags;
	bool is_too_long; /* over TTRPC_MAX_BODY: body is NULL, len as claimed */
	const uint8_t *body; /* borrowed from the reader until its next call */
	size_t len;
};

struct ttrpc_reader {
	uint8_t header[TTRPC_HEADER];
	size_t have; /* bytes of header and body taken so far */
	size_t body_len;
	uint64_t skip; /* bytes of a too long body still to come */
	uint8_t *body;
	size_t cap;
};

#define TTRPC_READER_INIT ((struct ttrpc_reader){ 0 })
void ttrpc_reader_done(struct ttrpc_reader *r);

/* Takes bytes until a frame is whole: returns how many it took; *ret_has says whether *ret is
 * one.  Call again with the rest until n bytes are taken. */
size_t ttrpc_reader_push(struct ttrpc_reader *r, const uint8_t *bytes, size_t n,
			 struct ttrpc_frame *ret, bool *ret_has);

/* Appends header and body to out.  len must be at most TTRPC_MAX_BODY. */
void ttrpc_frame_add(struct str *out, uint32_t stream, enum ttrpc_type type, uint8_t flags,
		     const void *body, size_t len);

/* The name of the one piece of metadata that containerd sends. */
#define TTRPC_NAMESPACE_KEY "containerd-namespace-ttrpc"
