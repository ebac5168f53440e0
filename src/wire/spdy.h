/* SPDY/3.1, the server's side, without a socket: bytes in and events out, frames into a buffer.
 *
 * What Kubernetes' clients speak for exec, attach and port-forward.  They open all streams
 * themselves and keep no windows: so windows are kept towards a peer that has shown that it knows
 * them (by a WINDOW_UPDATE or SETTINGS frame), and of what comes in too much nothing is said:
 * who reads from the socket stops reading.  Bounds: SPDY_STREAMS at a time, SPDY_CONTROL bytes of a
 * control frame, SPDY_HEADERS of unpacked headers, half of SPDY_OUT of answers that the peer
 * does not take.  Data has no bound: it comes out in pieces as it comes in.
 *
 * Pure: one thread at a time, no system calls. */
#pragma once

#include "base/str.h"

enum {
	SPDY_STREAMS = 256,
	SPDY_CONTROL = 32 << 10,
	SPDY_HEADERS = 64 << 10,
	SPDY_PAIRS = 64,
	SPDY_OUT = 1 << 20,
	SPDY_WINDOW = 64 << 10,
	SPDY_DATA_MAX = 16 << 10, /* of one frame of ours */
};

enum spdy_kind {
	SPDY_MORE, /* nothing yet */
	SPDY_OPENED, /* a stream; its headers are there until the next push */
	SPDY_BYTES, /* a piece of a stream's data, perhaps empty */
	SPDY_RESET, /* the stream is gone */
	SPDY_FAILED, /* the session is over; reason says why, and a GOAWAY is in the output */
};

enum spdy_status {
	SPDY_PROTOCOL_ERROR = 1,
	SPDY_INVALID_STREAM = 2,
	SPDY_REFUSED_STREAM = 3,
	SPDY_CANCEL = 5,
	SPDY_INTERNAL_ERROR = 6,
	SPDY_FLOW_CONTROL_ERROR = 7,
};

struct spdy_event {
	enum spdy_kind kind;
	uint32_t stream;
	bool is_last; /* OPENED, BYTES: the peer says no more on this stream */
	const uint8_t *bytes; /* borrowed from what was pushed */
	size_t n;
	const char *reason; /* FAILED */
};

struct spdy;

struct spdy *spdy_new(void);
void spdy_free(struct spdy *s); /* NULL is fine */

/* Takes bytes until there is something to tell: how many, at least one of n > 0.  Call again with
 * the rest.  After SPDY_FAILED it takes everything and says nothing. */
size_t spdy_push(struct spdy *s, const uint8_t *bytes, size_t n, struct spdy_event *ret);

/* A header of the stream that SPDY_OPENED told of, by its lower-case name; NULL: none.  Of several
 * the first one counts. */
const char *spdy_header(const struct spdy *s, const char *name);

/* What is to be sent; the owner takes it from its front. */
struct str *spdy_out(struct spdy *s);

/* SYN_REPLY without headers: the stream is taken. */
void spdy_accept(struct spdy *s, uint32_t stream);

/* How many bytes may be sent on it now. */
size_t spdy_room(const struct spdy *s, uint32_t stream);
/* n is at most spdy_room(); cut into frames.  is_last: our side of the stream ends behind them. */
void spdy_send(struct spdy *s, uint32_t stream, const void *bytes, size_t n, bool is_last);
/* So much of what came on the stream has been passed on; 0 of a stream that is gone is fine. */
void spdy_passed(struct spdy *s, uint32_t stream, size_t n);

void spdy_reset(struct spdy *s, uint32_t stream, enum spdy_status status);
void spdy_go_away(struct spdy *s);
