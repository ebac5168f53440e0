/* The streaming server: what Exec, Attach and PortForward of the CRI hand out URLs of.
 *
 * kubelet (or crictl) gets a URL with a token that is good once and for a minute, connects, and
 * leaves HTTP for SPDY/3.1 or WebSocket.  From there:
 *
 *	stream_calls.c	Exec, Attach, PortForward: checked, a token each (stream_token.c)
 *	stream_server.c	the listener
 *	stream_request.c	a client's first words		-> which of remote and forward
 *	stream_conn.c	bytes of one connection (stream_tls.c)	<-> frames of numbered streams
 *	stream_remote.c	exec and attach: streams, sizes, the status at the end (stream_status.c)
 *	stream_process.c	the daemon's ends of a process's stdio; what blocks is in
 *stream_exec.c stream_forward.c	port-forward: pairs of streams <-> sockets inside a pod's
 *network
 *
 * Threads: all of it runs on the loop's thread and never blocks there; steps that do (shims, the
 * store, network namespaces) are jobs of the pool, which post back.  Buffers are bounded: who does
 * not read stops the process that writes, nobody else, and is not read from either. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

struct engine;
struct stream_server;

enum stream_kind { STREAM_EXEC, STREAM_ATTACH, STREAM_FORWARD, STREAM_KINDS };

/* What a token stands for. */
struct stream_request {
	struct arena *arena; /* of this struct and all in it */
	enum stream_kind kind;
	const char *id; /* of the container, or of the pod */
	const char *pod; /* its whole id, in either case */
	const char *const *cmd; /* exec */
	size_t n_cmd;
	bool tty, in, out, err;
	bool is_stdin_once; /* attach: the end of the client's input is that of the process's */
	const uint16_t *ports; /* forward, over WebSocket */
	size_t n_ports;
};
struct stream_request *stream_request_new(enum stream_kind kind, const char *id, const char *pod);
void stream_request_free(struct stream_request *r); /* NULL is fine */

/* The loop's thread.  Where it cannot listen it says so in the log, and tries again when a URL is
 * asked for.  Never fails but by its configuration. */
int stream_server_start(struct engine *en, struct stream_server **ret, struct err *e);
/* The loop's thread, while the pool works: no connection is left.  NULL is fine, of both. */
void stream_server_stop(struct stream_server *s);
/* When the pool is idle and the loop has run what it posted. */
void stream_server_free(struct stream_server *s);

/* Any thread.  ERR_RESOURCE_EXHAUSTED when too many tokens are out. */
int stream_server_url(struct stream_server *s, struct stream_request *r_take, struct arena *a,
		      const char **ret, struct err *e);
