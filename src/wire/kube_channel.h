/* Kubernetes' channels over WebSocket messages ("v4.channel.k8s.io" and its like): the first byte
 * of a message, or its first digit where they are base64, is the number of a stream.
 *
 * Text of the peer's is decoded as it comes, in pieces of any size.  Pure. */
#pragma once

#include "wire/websocket.h"

enum { KUBE_CHANNEL_CLOSE = 255, KUBE_CHANNEL_PIECE = 16 << 10 };

struct kube_channel_protocol {
	const char *name; /* of the subprotocol; "" where the client names none */
	bool is_base64;
	bool has_status; /* the error stream brings metav1.Status, and not a sentence */
	bool has_close; /* a message on channel 255 ends the stream it names */
};

/* The first of the client's list (of a header: names with commas) that is known, or NULL.  No list
 * is the protocol without a name. */
const struct kube_channel_protocol *kube_channel_choose(const char *list);

struct kube_channel_in {
	const struct kube_channel_protocol *protocol;
	int number; /* of the message at hand; -1: it has not come yet */
	uint8_t quad[4];
	unsigned n_quad;
	bool is_padded;
	uint8_t out[KUBE_CHANNEL_PIECE];
};

struct kube_channel_event {
	int number; /* -1: nothing yet */
	bool is_close; /* of stream number */
	const uint8_t *bytes; /* borrowed from the event or from c, until the next call */
	size_t n;
};

/* Of a piece of at most KUBE_CHANNEL_PIECE bytes; NULL, or what is wrong. */
const char *kube_channel_read(struct kube_channel_in *c, const struct ws_event *piece,
			      struct kube_channel_event *ret);

/* n is at most WS_DATA_MAX. */
void kube_channel_send(struct ws *w, const struct kube_channel_protocol *p, unsigned number,
		       const void *bytes, size_t n);
