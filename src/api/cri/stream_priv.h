/* What the files of the streaming server share. */
#pragma once

#include "api/cri/stream.h"
#include "base/str.h"
#include "engine/engine.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "task/task.h"

#include <pthread.h>

struct stream_conn;
struct stream_tls;

enum {
	STREAM_CONNECTIONS = 1024,
	STREAM_OF_POD = 128, /* of them: one pod's users keep nobody out of the others */
	STREAM_HANDSHAKES = 32, /* of TLS, a second: each costs up to milliseconds of this thread */
	STREAM_UNKNOWN = 64, /* connections that have not shown a token yet */
	STREAM_LEFT_OVER = 32, /* execs of a container whose clients have left */
	STREAM_CHUNK = 16 << 10, /* bytes read at a time */
	STREAM_OUT = 128 << 10, /* waiting for a peer */
	STREAM_IN = 256 << 10, /* waiting for a process or a socket */
};
#define STREAM_HEAD_NS 10000000000ull /* for a client to say what it wants */
#define STREAM_CREATION_NS 30000000000ull /* and to open its streams */
#define STREAM_SECOND_NS 1000000000ull
#define STREAM_GOODBYE_NS 5000000000ull /* to take what is left and to close */
#define STREAM_STALL_NS 10000000000ull /* that one client of an attach may hold up the others */

/* --- stream_token.c --- */

enum { TOKEN_LEN = 8, TOKENS = 1000 };
#define TOKEN_NS 60000000000ull

struct stream_tokens {
	pthread_mutex_t lock;
	struct stream_token {
		char text[TOKEN_LEN + 1];
		uint64_t until;
		struct stream_request *request; /* NULL: free */
	} v[TOKENS];
};

void stream_tokens_init(struct stream_tokens *t);
void stream_tokens_done(struct stream_tokens *t);
/* -1: there is no room; the request stays the caller's then. */
int stream_tokens_put(struct stream_tokens *t, struct stream_request *r_take, uint64_t now,
		      char ret[TOKEN_LEN + 1]);
/* The caller's, or NULL. */
struct stream_request *stream_tokens_take(struct stream_tokens *t, const char *text, uint64_t now);

/* --- the server --- */

struct stream_process;

struct stream_server {
	struct engine *en;
	struct loop *loop;
	struct pool *pool;
	struct stream_tokens tokens;
	pthread_mutex_t lock; /* of fd and url, which a worker may set */
	int fd;
	char *url; /* "http://127.0.0.1:1234", NULL: it does not listen */
	struct stream_tls *tls; /* NULL: none */
	struct loop_io *io;
	struct loop_timer *pause; /* of accepting; NULL: there is none */
	uint64_t second; /* since when n_handshakes are counted */
	size_t n_handshakes;
	struct stream_conn *conns;
	size_t n_conns, n_unknown;
	struct stream_process *processes;
	bool is_stopping;
	/* Of what is being read, from peers and from processes: nobody has one of his own. */
	uint8_t buf[STREAM_CHUNK], buf2[STREAM_CHUNK];
};

/* --- stream_conn.c --- */

/* What one connection is for; called on the loop's thread, and never after gone(). */
struct stream_user {
	/* SPDY only: a stream of the peer's; its headers by stream_conn_header(). */
	void (*opened)(void *arg, uint32_t id, bool is_last);
	void (*bytes)(void *arg, uint32_t id, const uint8_t *p, size_t n, bool is_last);
	void (*reset)(void *arg, uint32_t id);
	void (*room)(void *arg); /* something could be sent */
	void (*gone)(void *arg);
	uint64_t (*timer)(void *arg, uint64_t now); /* when to call again (loop_now); NULL: never */
};

/* Takes fd and the place of one of n_unknown. */
void stream_conn_new(struct stream_server *s, int fd);
void stream_conn_free(struct stream_conn *c); /* at the end of the server */

/* stream_request.c: what a request's head asks for.  0, or the status to refuse with. */
int stream_conn_dispatch(struct stream_conn *c, char *head, size_t n);

/* The connection is for this from now on. */
void stream_conn_use(struct stream_conn *c, const struct stream_user *user, void *arg);
/* It has something new to wait for: its timer() is asked soon. */
void stream_conn_timer(struct stream_conn *c);
struct stream_server *stream_conn_server(const struct stream_conn *c);
bool stream_conn_is_spdy(const struct stream_conn *c);
bool stream_conn_has_status(const struct stream_conn *c); /* by its protocol: v4 or later */
bool stream_conn_has_resize(const struct stream_conn *c); /* v3 or later */
const char *stream_conn_header(const struct stream_conn *c, const char *name);
void stream_conn_accept(struct stream_conn *c, uint32_t id);
void stream_conn_reset(struct stream_conn *c, uint32_t id);

/* n is at most stream_conn_room(). is_last is SPDY's alone. */
size_t stream_conn_room(struct stream_conn *c, uint32_t id);
void stream_conn_send(struct stream_conn *c, uint32_t id, const void *bytes, size_t n,
		      bool is_last);
/* The same without a look at the room: for the one sentence at the end. */
void stream_conn_say(struct stream_conn *c, uint32_t id, const char *text, bool is_last);

/* An empty message on a channel: WebSocket's alone. */
void stream_conn_greet(struct stream_conn *c, uint32_t id);

/* A stream's bytes wait for somebody: nothing is read until as many calls say that they don't. */
void stream_conn_hold(struct stream_conn *c, bool is_held);
void stream_conn_passed(struct stream_conn *c, uint32_t id, size_t n);
/* Sends what is there, says goodbye and closes; no more than that is done with it. */
void stream_conn_finish(struct stream_conn *c);

/* --- what connections are for --- */

/* Each takes the request. */
void stream_remote_new(struct stream_conn *c, struct stream_request *r_take);
void stream_forward_new(struct stream_conn *c, struct stream_request *r_take);

/* --- stream_process.c --- */

/* A client of a process. */
struct stream_seat {
	void (*output)(struct stream_seat *seat, int which, const uint8_t *p, size_t n,
		       bool is_last); /* which: 1 or 2 */
	size_t (*room)(struct stream_seat *seat, int which);
	void (*input_room)(struct stream_seat *seat); /* it was full */
	/* The end: e, or the exit status.  The seat has left. */
	void (*ended)(struct stream_seat *seat, const struct err *e, uint32_t status);
	struct stream_process *process;
	struct stream_seat *next;
	uint64_t stalled; /* since when it has no room; 0: it has */
};

/* Exec: a new process of the request's (taken).  Attach: the one that somebody is attached to
 * already, or one with the seat alone. */
void stream_process_join(struct stream_server *s, struct stream_request *r_take,
			 struct stream_seat *seat);
void stream_process_leave(struct stream_seat *seat); /* fine when it has left */

/* False: it is full, input_room() will come; the bytes are taken even so. */
bool stream_process_input(struct stream_seat *seat, const uint8_t *p, size_t n);
void stream_process_input_end(struct stream_seat *seat);
void stream_process_resize(struct stream_seat *seat, uint16_t width, uint16_t height);
void stream_process_room(struct stream_seat *seat); /* it has room again */
/* The loop's thread, at the end of the server. */
void stream_processes_stop(struct stream_server *s);

/* --- stream_exec.c: what blocks, on the pool's threads --- */

/* Our ends of a process's streams; -1: none. */
struct stream_ends {
	int fd[3];
	struct task *task; /* a reference */
	char exec_id[33]; /* "": the container's first process */
	bool tty;
};

/* Makes and starts the process of an exec, or finds the streams of the first one.  on_exit comes
 * once, on any thread, when *ret_wait is not 0: also on failure. */
int stream_exec(struct engine *en, const struct stream_request *r, task_wait_fn *on_exit, void *arg,
		struct stream_ends *ret, uint64_t *ret_wait, struct err *e);
void stream_ends_close(struct stream_ends *x);
/* At start: the folders of execs in whose making the last daemon was killed. */
void stream_fifos_clear(const struct engine *en);

/* Two sockets inside the pod's network, one for IPv4 and one for IPv6, not yet connected. */
int stream_pod_sockets(struct engine *en, const char *pod, int ret[2], struct err *e);

/* --- stream_status.c --- */

/* metav1.Status as JSON: of success, of an exit status, of a failure. */
void stream_status_success(struct str *out);
void stream_status_exit(const char *message, uint32_t code, struct str *out);
void stream_status_error(const char *message, struct str *out);
