/* The inside of a connection, for the files that look into it: stream_conn.c, stream_request.c,
 * stream_server.c. */
#pragma once

#include "api/cri/stream_priv.h"
#include "wire/http1.h"
#include "wire/kube_channel.h"
#include "wire/spdy.h"

struct stream_tls_conn;

struct stream_conn {
	struct stream_server *server;
	struct stream_conn *next;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer;
	struct stream_tls_conn *tls; /* NULL: none */
	char *head; /* of the request, HTTP1_HEAD bytes; NULL: it has been read */
	size_t n_head;
	struct spdy *spdy; /* or */
	struct kube_channel_in *channels; /* over ws, whose output is that of a refusal, too */
	struct ws ws;
	unsigned version; /* of SPDY's channels: 1 to 4 */
	size_t out_at; /* of the output is sent */
	const struct stream_user *user; /* NULL: nobody any more */
	void *arg;
	uint64_t active; /* the last sign of life */
	uint64_t until; /* the end of our patience; 0: none */
	int held;
	bool is_starved; /* the user was told that there is no room: it is told of some */
	bool is_known; /* it has shown a token */
	char *pod; /* of that; or NULL */
	bool is_broken; /* by the peer: a goodbye may be in the output */
	bool is_finishing, is_shut;
	bool is_dead; /* the socket is of no use any more */
};
