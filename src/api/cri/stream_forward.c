/* Port-forward: each pair of streams of the client, one for bytes and one for what goes wrong, is a
 * connection to a port of the pod's own loopback. */
#include "api/cri/stream_priv.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_ID = 32, PAIRS = 128 };

struct forward;

struct pair {
	struct forward *forward; /* NULL: the client has gone */
	struct pair *next;
	char request[REQUEST_ID + 1];
	uint16_t port;
	bool has_data, has_error;
	uint32_t data, error; /* streams */
	uint64_t until; /* for the second of them */
	int fd; /* -1: none yet, or any more */
	int other; /* the socket of IPv6, while IPv4 is tried */
	struct loop_io *io;
	struct str in; /* for the pod */
	size_t in_at;
	bool is_entering; /* a job looks for the pod */
	bool is_connected, in_ended, was_shut, out_ended, is_held;
	char first_failure[256]; /* IPv4's */
};

struct forward {
	struct stream_conn *conn;
	struct stream_server *server;
	struct stream_request *request;
	struct pair *pairs;
	size_t n_pairs;
};

/* --- the end of a pair --- */

static void hold(struct pair *p, bool is_held)
{
	if (p->is_held != is_held && p->forward)
		stream_conn_hold(p->forward->conn, is_held);
	p->is_held = is_held;
}

static void pair_close(struct pair *p)
{
	loop_io_remove(p->io);
	p->io = NULL;
	close_fd(&p->fd);
	close_fd(&p->other);
	p->fd = p->other = -1;
}

/* The job that looks for the pod frees it in its place. */
static void pair_free(struct pair *p)
{
	struct forward *f = p->forward;

	hold(p, false);
	pair_close(p);
	if (f) {
		struct pair **at = &f->pairs;

		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
		f->n_pairs--;
	}
	p->forward = NULL;
	str_done(&p->in);
	if (!p->is_entering)
		free(p);
}

/* sentence "": it ended as it should. */
static void pair_end(struct pair *p, const char *sentence)
{
	struct stream_conn *c = p->forward->conn;
	bool is_spdy = stream_conn_is_spdy(c);

	if (p->has_error && (is_spdy || *sentence))
		stream_conn_say(c, p->error, sentence, true);
	if (p->has_data && is_spdy && !p->out_ended)
		stream_conn_send(c, p->data, "", 0, true);
	if (p->has_data && is_spdy && !p->in_ended)
		stream_conn_reset(c, p->data); /* what still comes is for nobody */
	pair_free(p);
}

static void pair_fail(struct pair *p, const char *reason)
{
	AUTO_STR struct str s = STR_INIT(4096);

	str_addf(&s,
		 "error forwarding port %u to pod %s, uid : failed to execute portforward in "
		 "network namespace: %s",
		 p->port, p->forward->request->id, reason);
	pair_end(p, str_c(&s));
}

/* --- bytes --- */

static void on_socket(struct loop_io *io, uint32_t events, void *arg);

static void set_events(struct pair *p)
{
	bool wants_in =
		p->is_connected && !p->out_ended && stream_conn_room(p->forward->conn, p->data);
	uint32_t events = (wants_in ? EPOLLIN : 0) |
			  (!p->is_connected || p->in_at < p->in.len ? EPOLLOUT : 0);

	if (p->fd < 0)
		return;
	/* One that nobody waits for is not in the loop: a hang-up would be told again and again. */
	if (!events) {
		loop_io_remove(p->io);
		p->io = NULL;
	} else if (p->io) {
		loop_io_set(p->io, events);
	} else if (loop_io_add(p->forward->server->loop, p->fd, events, on_socket, p, &p->io) < 0) {
		close_fd(&p->fd);
		p->fd = -1; /* out of memory for a watch: it ends with its connection */
	}
}

/* -1: the pair has ended. */
static int push_input(struct pair *p)
{
	while (p->is_connected && p->in_at < p->in.len) {
		ssize_t n = send(p->fd, p->in.ptr + p->in_at, p->in.len - p->in_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			pair_end(p, "");
			return -1;
		}
		stream_conn_passed(p->forward->conn, p->data, (size_t)n);
		p->in_at += (size_t)n;
	}
	if (p->in_at == p->in.len) {
		str_reset(&p->in);
		p->in_at = 0;
	}
	str_compact(&p->in, &p->in_at);
	hold(p, p->in.len - p->in_at >= STREAM_IN / 2);
	if (p->is_connected && p->in_ended && !p->in.len && !p->was_shut) {
		p->was_shut = true;
		(void)shutdown(p->fd, SHUT_WR); /* it may be gone: the next read says so */
	}
	if (p->was_shut && p->out_ended) {
		pair_end(p, "");
		return -1;
	}
	return 0;
}

static int pull_output(struct pair *p)
{
	struct stream_conn *c = p->forward->conn;
	uint8_t *buf = p->forward->server->buf2;
	size_t room = stream_conn_room(c, p->data);
	ssize_t n;

	if (!room || p->out_ended)
		return 0;
	n = recv(p->fd, buf, room < STREAM_CHUNK ? room : STREAM_CHUNK, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {
		pair_end(p, "");
		return -1;
	}
	stream_conn_send(c, p->data, buf, (size_t)n, n == 0);
	p->out_ended = n == 0;
	if (n == 0 && !stream_conn_is_spdy(c)) {
		pair_end(p, ""); /* a channel has no end of its own: that is all there is */
		return -1;
	}
	return n == 0 ? push_input(p) : 0;
}

/* --- connecting --- */

static int connect_to(int fd, uint16_t port, bool is_v6)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 b = { .sin6_family = AF_INET6,
					.sin6_port = htons(port),
					.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int r = fd < 0  ? -1
		: is_v6 ? connect(fd, (const struct sockaddr *)&b, sizeof b)
			: connect(fd, (const struct sockaddr *)&a, sizeof a);

	return r == 0 || (fd >= 0 && errno == EINPROGRESS) ? 0 : fd < 0 ? EAFNOSUPPORT : errno;
}

/* IPv4 has failed: now IPv6, which may fail as well. */
static void try_next(struct pair *p, int errnum)
{
	AUTO_STR struct str s = STR_INIT(2048);
	int r;

	if (p->other >= 0) {
		snprintf(p->first_failure, sizeof p->first_failure,
			 "dial tcp4 127.0.0.1:%u: connect: %s", p->port, err_errno_text(errnum));
		loop_io_remove(p->io);
		p->io = NULL;
		close_fd(&p->fd);
		p->fd = TAKE_FD(p->other);
		r = connect_to(p->fd, p->port, true);
		if (r == 0) {
			set_events(p);
			return;
		}
		errnum = r;
	}
	str_addf(&s, "failed to connect to localhost:%u inside namespace \"%s\"", p->port,
		 p->forward->request->id);
	if (*p->first_failure)
		str_addf(&s, ", IPv4: %s IPv6 dial tcp6 [::1]:%u: connect: %s", p->first_failure,
			 p->port, err_errno_text(errnum));
	else
		str_addf(&s, ": dial tcp4 127.0.0.1:%u: connect: %s", p->port,
			 err_errno_text(errnum));
	pair_fail(p, str_c(&s));
}

static void on_socket(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct pair *p = arg;

	if (!p->is_connected) {
		int errnum = 0;
		socklen_t n = sizeof errnum;

		if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &errnum, &n) < 0)
			errnum = errno;
		if (errnum) {
			try_next(p, errnum);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		p->is_connected = true;
		close_fd(&p->other);
		p->other = -1;
	}
	if (push_input(p) < 0)
		return;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && pull_output(p) < 0)
		return;
	set_events(p);
}

struct entry {
	struct pair *pair;
	struct stream_server *server;
	char *pod;
	int fd[2];
	struct err e;
};

static void on_entered(void *arg)
{
	struct entry *n = arg;
	struct pair *p = n->pair;
	char text[sizeof n->e.msg];
	int r;

	p->is_entering = false;
	if (!p->forward) {
		close_fd(&n->fd[0]);
		close_fd(&n->fd[1]);
		free(p);
	} else if (n->e.code) {
		pair_fail(p, err_text(&n->e, text, sizeof text));
	} else {
		p->fd = n->fd[0];
		p->other = n->fd[1];
		r = connect_to(p->fd, p->port, false);
		if (r)
			try_next(p, r);
		else
			set_events(p);
	}
	free(n->pod);
	free(n);
}

static void enter(void *arg)
{
	struct entry *n = arg;

	(void)stream_pod_sockets(n->server->en, n->pod, n->fd, &n->e); /* e says it */
	loop_post(n->server->loop, on_entered, n);
}

static void begin(struct pair *p)
{
	struct entry *n = NEW(struct entry);

	*n = (struct entry){ .pair = p,
			     .server = p->forward->server,
			     .pod = xstrdup(p->forward->request->id),
			     .fd = { -1, -1 } };
	p->is_entering = true;
	p->until = 0;
	pool_run(n->server->pool, enter, n);
}

/* --- from the client --- */

static struct pair *pair_new(struct forward *f, const char *request, uint16_t port)
{
	struct pair *p = NEW(struct pair);

	*p = (struct pair){ .forward = f,
			    .next = f->pairs,
			    .port = port,
			    .fd = -1,
			    .other = -1,
			    .until = loop_now() + STREAM_CREATION_NS,
			    .in = STR_INIT(2 * STREAM_IN + STREAM_CHUNK) };
	snprintf(p->request, sizeof p->request, "%s", request);
	f->pairs = p;
	f->n_pairs++;
	return p;
}

static struct pair *find_request(const struct forward *f, const char *request)
{
	for (struct pair *p = f->pairs; p; p = p->next)
		if (strcmp(p->request, request) == 0)
			return p;
	return NULL;
}

/* Old clients number no requests: an error stream comes first, and its data stream next. */
static const char *request_of(const struct forward *f, uint32_t id, bool is_data, char *buf)
{
	const char *text = stream_conn_header(f->conn, "requestid");

	if (text && *text && strlen(text) <= REQUEST_ID)
		return text;
	if (text && *text)
		return NULL;
	snprintf(buf, REQUEST_ID, "-%u", is_data ? id - 2 : id);
	return buf;
}

static void on_opened(void *arg, uint32_t id, bool is_last)
{
	struct forward *f = arg;
	const char *type = stream_conn_header(f->conn, "streamtype") ?: "",
		   *text = stream_conn_header(f->conn, "port") ?: "", *request;
	bool is_data = strcmp(type, "data") == 0;
	char buf[REQUEST_ID];
	uint32_t port = 0;

	request = request_of(f, id, is_data, buf);

	struct pair *p = request ? find_request(f, request) : NULL;
	bool is_bad = !request || num_u32(text, &port) < 0 || !port || port > UINT16_MAX ||
		      (!is_data && strcmp(type, "error") != 0) ||
		      (p && (p->port != port || (is_data ? p->has_data : p->has_error))) ||
		      (!p && f->n_pairs >= PAIRS);

	if (is_bad) {
		stream_conn_reset(f->conn, id);
		return;
	}
	if (!p) {
		p = pair_new(f, request, (uint16_t)port);
		stream_conn_timer(f->conn); /* p->until may be sooner than all others */
	}
	if (is_data) {
		p->has_data = true;
		p->data = id;
		p->in_ended = is_last;
	} else {
		p->has_error = true;
		p->error = id;
	}
	stream_conn_accept(f->conn, id);
	if (p->has_data && p->has_error)
		begin(p);
}

static struct pair *find_stream(const struct forward *f, uint32_t id)
{
	for (struct pair *p = f->pairs; p; p = p->next)
		if ((p->has_data && p->data == id) || (p->has_error && p->error == id))
			return p;
	return NULL;
}

static void on_bytes(void *arg, uint32_t id, const uint8_t *bytes, size_t n, bool is_last)
{
	struct forward *f = arg;
	struct pair *p = find_stream(f, id);

	if (!p || !p->has_data || p->data != id || p->in_ended) {
		stream_conn_passed(f->conn, id, n);
		return;
	}
	str_addn(&p->in, bytes, n);
	p->in_ended = is_last;
	if (push_input(p) == 0)
		set_events(p);
}

static void on_reset(void *arg, uint32_t id)
{
	struct forward *f = arg;
	struct pair *p = find_stream(f, id);

	if (!p)
		return;
	if (p->has_error && p->error == id) {
		p->has_error = false; /* it wants no explanations */
		if (p->has_data)
			return;
	}
	p->has_data = false;
	pair_end(p, "");
}

static void on_room(void *arg)
{
	struct forward *f = arg;

	for (struct pair *p = f->pairs; p; p = p->next)
		if (p->is_connected)
			set_events(p);
}

static void on_gone(void *arg)
{
	struct forward *f = arg;
	struct pair *next;

	for (struct pair *p = f->pairs; p; p = next) {
		next = p->next;
		p->forward = NULL; /* no farewell */
		pair_free(p);
	}
	stream_request_free(f->request);
	free(f);
}

static uint64_t on_timer(void *arg, uint64_t now)
{
	struct forward *f = arg;
	uint64_t at = 0;
	struct pair *next;

	for (struct pair *p = f->pairs; p; p = next) {
		next = p->next;
		if (p->until && p->until <= now)
			pair_end(p, "timed out waiting for the second stream of a request");
		else if (p->until && (!at || p->until < at))
			at = p->until;
	}
	return at;
}

/* Over WebSocket the ports are those of the request; channels 2i and 2i + 1 are the i-th one's, and
 * begin with its number. */
static void begin_channels(struct forward *f)
{
	for (size_t i = 0; i < f->request->n_ports && i < PAIRS; i++) {
		uint16_t port = f->request->ports[i];
		const uint8_t number[] = { (uint8_t)port, (uint8_t)(port >> 8) };
		char name[REQUEST_ID];

		snprintf(name, sizeof name, "%zu", i);

		struct pair *p = pair_new(f, name, port);

		p->has_data = p->has_error = true;
		p->data = (uint32_t)(2 * i);
		p->error = (uint32_t)(2 * i + 1);
		stream_conn_send(f->conn, p->data, number, sizeof number, false);
		stream_conn_send(f->conn, p->error, number, sizeof number, false);
		begin(p);
	}
}

void stream_forward_new(struct stream_conn *c, struct stream_request *q)
{
	static const struct stream_user user = {
		on_opened, on_bytes, on_reset, on_room, on_gone, on_timer,
	};
	struct forward *f = NEW(struct forward);

	*f = (struct forward){ .conn = c, .server = stream_conn_server(c), .request = q };
	stream_conn_use(c, &user, f);
	if (!stream_conn_is_spdy(c))
		begin_channels(f);
}
