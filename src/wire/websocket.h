/* WebSocket (RFC 6455, version 13), the server's side, without a socket.
 *
 * Messages come out in pieces as they come in, so a long one costs no memory.  Bounds: 125 bytes of
 * a control frame, half of WS_OUT of answers that the peer does not take.  No extensions.
 *
 * Pure: one thread at a time, no system calls. */
#pragma once

#include "base/str.h"

enum { WS_OUT = 1 << 20, WS_DATA_MAX = 16 << 10, WS_ACCEPT = 28 };

enum ws_kind {
	WS_MORE, /* nothing yet */
	WS_PIECE, /* of a message, perhaps empty */
	WS_CLOSED, /* the peer has said goodbye; so have we, in the output */
	WS_FAILED, /* it broke the rules; a close frame that says so is in the output */
};

enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_UNSUPPORTED = 1003,
	WS_INTERNAL_ERROR = 1011,
};

struct ws_event {
	enum ws_kind kind;
	bool is_first, is_last, is_text; /* PIECE: of its message */
	const uint8_t *bytes; /* borrowed from what was pushed */
	size_t n;
	const char *reason; /* FAILED */
};

struct ws {
	uint8_t head[14];
	size_t n_head, head_len;
	uint64_t left; /* of the frame's payload */
	unsigned mask_at;
	bool in_message, is_text, is_begun; /* is_begun: a piece of it was told */
	uint8_t control[125];
	size_t n_control;
	struct str out;
	bool is_over, said_goodbye;
};

#define WS_INIT ((struct ws){ .out = { .max = WS_OUT } })
void ws_done(struct ws *w);

/* Takes bytes until there is something to tell, and unmasks them where they are: how many, at least
 * one of n > 0.  After CLOSED and FAILED it takes everything and says nothing. */
size_t ws_push(struct ws *w, uint8_t *bytes, size_t n, struct ws_event *ret);

/* One message of two parts: the first may be empty. */
void ws_send(struct ws *w, bool is_text, const void *first, size_t n_first, const void *bytes,
	     size_t n);
void ws_close(struct ws *w, enum ws_code code);

/* Sec-WebSocket-Accept for a client's key. */
void ws_accept_key(const char *key, char ret[WS_ACCEPT + 1]);
