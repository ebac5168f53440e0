#include "cmd/containerd/tls.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/tls_library.h"
#include "loop/loop.h"
#include "os/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define HANDSHAKE_NS 5000000000ull
#define STOP_ACCEPTING_NS 100000000ull

enum { BUFFER = 16 * 1024, CONNECTIONS_MAX = 256 };

struct connection {
	struct connection *next, **at;
	struct tls *tls;
	SSL *ssl;
	int tcp, pair;
	struct loop_io *tcp_io, *pair_io;
	struct loop_timer *handshake; /* until that is over */
	bool wants_write; /* the library's last word about the network */
	bool is_up, client_ended, server_ended;
	/* decrypted, for the server; from the server, to be encrypted */
	size_t up_at, up_n, down_at, down_n;
	uint8_t up[BUFFER], down[BUFFER];
};

struct tls {
	struct tls_library lib;
	SSL_CTX *context;
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer *pause; /* of accepting, while there are too many descriptors */
	int fd;
	pthread_t thread;
	bool is_running;
	tls_give_fn *give;
	void *arg;
	struct connection *connections;
	size_t n;
};

/* --- one connection --- */

static void connection_free(struct connection *c)
{
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	c->tls->n--;
	loop_io_remove(c->tcp_io);
	loop_io_remove(c->pair_io);
	loop_timer_remove(c->handshake);
	if (c->ssl)
		c->tls->lib.SSL_free(c->ssl);
	close_fd(&c->tcp);
	close_fd(&c->pair);
	FREE_SHARED(c);
}

/* What a call of the library that did not go through means: 0: later, -1: the end. */
static int again(struct connection *c, int r)
{
	const struct tls_library *l = &c->tls->lib;
	int why = l->SSL_get_error(c->ssl, r);

	c->wants_write |= why == SSL_ERROR_WANT_WRITE;
	return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
}

static int shake_hands(struct connection *c)
{
	const struct tls_library *l = &c->tls->lib;
	int r = l->SSL_accept(c->ssl);

	if (r == 1) {
		loop_timer_remove(TAKE_PTR(c->handshake));
		c->is_up = true;
		return 1;
	}
	if (again(c, r) == 0)
		return 0;
	log_debug(LOG({ "error", l->ERR_reason_error_string(l->ERR_get_error()) ?: "closed" }),
		  "TLS handshake failed");
	return -1;
}

/* 1: something went, 0: nothing for now, -1: the end. */
static int from_client(struct connection *c)
{
	if (c->up_n || c->client_ended)
		return 0;
	int r = c->tls->lib.SSL_read(c->ssl, c->up, BUFFER);

	if (r > 0) {
		c->up_at = 0;
		c->up_n = (size_t)r;
		return 1;
	}
	if (again(c, r) == 0)
		return 0;
	c->client_ended = true;
	return 1;
}

static int to_client(struct connection *c)
{
	if (!c->down_n)
		return 0;
	int r = c->tls->lib.SSL_write(c->ssl, c->down + c->down_at, (int)c->down_n);

	if (r <= 0)
		return again(c, r);
	c->down_at += (size_t)r;
	c->down_n -= (size_t)r;
	return 1;
}

static int from_server(struct connection *c)
{
	if (c->down_n || c->server_ended)
		return 0;
	ssize_t n = recv(c->pair, c->down, BUFFER, MSG_DONTWAIT);

	if (n > 0) {
		c->down_at = 0;
		c->down_n = (size_t)n;
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->server_ended = true;
	return 1;
}

static int to_server(struct connection *c)
{
	if (!c->up_n)
		return 0;
	ssize_t n = send(c->pair, c->up + c->up_at, c->up_n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->up_at += (size_t)n;
	c->up_n -= (size_t)n;
	return 1;
}

/* -1: the end, of either side; what the other has still to get it has got. */
static int pump(struct connection *c)
{
	static int (*const moves[])(struct connection *) = { from_client, to_server, from_server,
							     to_client };
	bool has_moved = true;

	c->tls->lib.ERR_clear_error();
	c->wants_write = false;
	if (!c->is_up) {
		int r = shake_hands(c);

		if (r <= 0)
			return r;
	}
	while (has_moved) {
		has_moved = false;
		for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
			int r = moves[i](c);

			if (r < 0)
				return -1;
			has_moved |= r > 0;
		}
		if ((c->client_ended && !c->up_n) || (c->server_ended && !c->down_n))
			return -1;
	}
	return 0;
}

static void step(struct connection *c)
{
	if (pump(c) < 0) {
		if (c->is_up && !c->client_ended)
			(void)c->tls->lib.SSL_shutdown(c->ssl); /* one word, if it goes */
		connection_free(c);
		return;
	}
	loop_io_set(c->tcp_io, (c->up_n ? 0 : EPOLLIN) | (c->wants_write ? EPOLLOUT : 0));
	if (c->pair_io)
		loop_io_set(c->pair_io,
			    !c->is_up ? 0 : (c->down_n ? 0 : EPOLLIN) | (c->up_n ? EPOLLOUT : 0));
}

/* A side that is gone says so whether it is listened to or not. */
static void on_io(struct loop_io *io, uint32_t events, void *arg)
{
	struct connection *c = arg;

	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !(events & EPOLLIN) && !c->is_up))
		connection_free(c);
	else if ((events & EPOLLHUP) && io == c->tcp_io && c->up_n)
		connection_free(c); /* it sent, and left without an answer */
	else {
		/* the server's last words are read as fast as the client takes them */
		if ((events & EPOLLHUP) && io == c->pair_io)
			loop_io_remove(TAKE_PTR(c->pair_io));
		step(c);
	}
}

static void on_late(UNUSED struct loop_timer *t, void *arg)
{
	connection_free(arg);
}

/* Takes fd. */
static void connection_new(struct tls *t, int fd)
{
	struct connection *c = NEW(struct connection);
	int ends[2], on = 1;

	*c = (struct connection){ .tls = t, .tcp = fd, .pair = -1, .next = t->connections };
	c->at = &t->connections;
	if (c->next)
		c->next->at = &c->next;
	t->connections = c;
	t->n++;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* slower without */
	c->ssl = t->lib.SSL_new(t->context);
	if (!c->ssl || t->lib.SSL_set_fd(c->ssl, fd) != 1 || t->n > CONNECTIONS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
		connection_free(c);
		return;
	}
	c->pair = ends[0];
	c->handshake = loop_timer_add(t->loop, HANDSHAKE_NS, on_late, c);
	t->give(ends[1], t->arg);
	if (loop_io_add(t->loop, fd, EPOLLIN, on_io, c, &c->tcp_io) < 0 ||
	    loop_io_add(t->loop, c->pair, 0, on_io, c, &c->pair_io) < 0)
		connection_free(c);
}

/* --- all of them --- */

static void on_pause_over(UNUSED struct loop_timer *timer, void *arg)
{
	struct tls *t = arg;

	loop_timer_remove(TAKE_PTR(t->pause));
	loop_io_set(t->io, EPOLLIN);
}

static void on_accept(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct tls *t = arg;
	int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		connection_new(t, fd);
	} else if (errno == EMFILE || errno == ENFILE) {
		loop_io_set(t->io, 0);
		t->pause = loop_timer_add(t->loop, STOP_ACCEPTING_NS, on_pause_over, t);
	}
}

static void *thread_main(void *arg)
{
	struct tls *t = arg;

	loop_run(t->loop);
	return NULL;
}

/* Clients of gRPC offer HTTP/2 by name, and want to hear it. */
static int choose_protocol(UNUSED SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
			   const unsigned char *in, unsigned n, UNUSED void *arg)
{
	for (unsigned i = 0; i < n && i + 1 + in[i] <= n; i += 1 + in[i])
		if (in[i] == 2 && !memcmp(in + i + 1, "h2", 2)) {
			*ret = in + i + 1;
			*ret_n = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int read_files(struct tls *t, const struct tls_files *f, struct err *e)
{
	const struct tls_library *l = &t->lib;

	if (tls_library_load(&t->lib, e) < 0 || tls_library_context(l, &t->context, e) < 0 ||
	    tls_library_key_pair(l, t->context, f->certificate, f->key, e) < 0)
		return -1;
	l->SSL_CTX_set_alpn_select_cb(t->context, choose_protocol, NULL);
	if (!*f->ca)
		return 0;
	if (l->SSL_CTX_load_verify_locations(t->context, f->ca, NULL) != 1)
		return tls_library_refuse(l, "certificates of", f->ca, e);
	l->SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

int tls_new(const struct tls_files *files, struct tls **ret, struct err *e)
{
	struct tls *t = NEW(struct tls);

	t->fd = -1;
	if (read_files(t, files, e) < 0) {
		tls_free(t);
		return -1;
	}
	*ret = t;
	return 0;
}

int tls_serve(struct tls *t, int fd, tls_give_fn *give, void *arg, struct err *e)
{
	t->fd = fd;
	t->give = give;
	t->arg = arg;
	t->loop = loop_new();
	int r = loop_io_add(t->loop, fd, EPOLLIN, on_accept, t, &t->io);

	if (r < 0)
		return err_sys(e, -r, "serve TLS");
	r = pthread_create(&t->thread, NULL, thread_main, t);
	if (r)
		return err_sys(e, r, "a thread for TLS");
	t->is_running = true;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	if (t->is_running) {
		loop_stop(t->loop);
		(void)pthread_join(t->thread, NULL);
	}
	while (t->connections)
		connection_free(t->connections);
	loop_io_remove(t->io);
	loop_timer_remove(t->pause);
	if (t->loop)
		loop_free(t->loop);
	close_fd(&t->fd);
	if (t->context)
		t->lib.SSL_CTX_free(t->context);
	free(t);
}
