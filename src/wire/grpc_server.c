/* The sockets of the gRPC server: everything here is on the loop's thread but run() and post(). */
#include "wire/grpc_server.h"

#include "wire/grpc_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 * 1024, WRITE_SIZE = 64 * 1024 };

struct listener {
	struct grpc_server *server;
	struct loop_io *io;
	int fd;
	struct listener *next;
};

struct client {
	struct grpc_server *server;
	struct grpc_conn *conn;
	struct loop_io *io;
	struct loop_timer *timer; /* deadlines */
	uint64_t timer_at;
	int fd;
	bool is_woken; /* a wake-up is posted, or client_step() comes anyway */
	uint8_t *out; /* gathered frames that the socket did not take yet */
	size_t out_len, out_at;
	struct client *next, *prev;
};

struct grpc_server {
	struct grpc_env env; /* first */
	struct loop *loop;
	struct pool *pool;
	struct listener *listeners;
	struct client *clients;
	unsigned n_clients;
	unsigned wakes; /* posted, each holds a pointer to the server */
	struct loop_timer *grace;
	bool is_stopping;
	void (*done)(void *);
	void *done_arg;
	uint8_t read_buf[READ_SIZE];
};

static void env_run(struct grpc_env *env, void (*fn)(void *), void *arg)
{
	pool_run(((struct grpc_server *)env)->pool, fn, arg);
}

static void env_post(struct grpc_env *env, void (*fn)(void *), void *arg)
{
	loop_post(((struct grpc_server *)env)->loop, fn, arg);
}

static void check_done(struct grpc_server *s)
{
	void (*done)(void *) = s->done;

	if (!s->is_stopping || s->n_clients || s->env.calls || s->wakes || !done)
		return;
	s->done = NULL;
	loop_timer_remove(s->grace);
	s->grace = NULL;
	done(s->done_arg);
}

static void env_call_gone(struct grpc_env *env)
{
	check_done((struct grpc_server *)env);
}

static void client_close(struct client *c)
{
	struct grpc_server *s = c->server;

	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	loop_io_remove(c->io);
	loop_timer_remove(c->timer);
	c->is_woken = true;
	for (struct listener *l = s->listeners; l; l = l->next)
		loop_io_set(l->io, EPOLLIN); /* there is an fd again */
	grpc_conn_free(c->conn);
	close(c->fd);
	free(c->out);
	free(c);
	s->n_clients--;
	check_done(s);
}

/* Frames into the buffer, the buffer into the socket, until either is empty or full. -1: gone. */
static int flush(struct client *c)
{
	for (;;) {
		ssize_t n = 0;

		if (c->out_at == c->out_len)
			c->out_at = c->out_len = 0;
		if (c->out_len < WRITE_SIZE) {
			if (!c->out)
				c->out = xmalloc(WRITE_SIZE + GRPC_FRAME_MAX);
			n = grpc_conn_output(c->conn, c->out + c->out_len, WRITE_SIZE - c->out_len);
			if (n < 0)
				return -1;
			c->out_len += (size_t)n;
		}
		if (!c->out_len) {
			free(TAKE_PTR(c->out)); /* an idle connection holds no buffer */
			return 0;
		}
		n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		c->out_at += (size_t)n;
		if (c->out_at < c->out_len && c->out_len >= WRITE_SIZE)
			return 0;
	}
}

static void on_deadline(UNUSED struct loop_timer *t, void *arg)
{
	struct client *c = arg;

	c->timer_at = 0;
	grpc_conn_expire(c->conn, loop_now());
	c->conn->env->wake(c->conn);
}

static void set_timer(struct client *c)
{
	uint64_t at = c->conn->soonest, now = loop_now();

	if (!at || at == c->timer_at)
		return;
	c->timer_at = at;
	uint64_t ns = at > now ? at - now : 0;
	if (c->timer)
		loop_timer_set(c->timer, ns);
	else
		c->timer = loop_timer_add(c->server->loop, ns, on_deadline, c);
}

/* After anything happened: write, and see what to wait for next. */
static void client_step(struct client *c)
{
	/* What a broken connection cannot take at once is lost, or it would stay for ever. */
	if (flush(c) < 0 || c->conn->is_broken || (!c->out_len && grpc_conn_is_over(c->conn))) {
		client_close(c);
		return;
	}
	set_timer(c);

	uint32_t events = grpc_conn_may_read(c->conn) ? EPOLLIN : 0;
	loop_io_set(c->io, events | (c->out_len ? EPOLLOUT : 0));
}

static void on_client(UNUSED struct loop_io *io, uint32_t events, void *arg)
{
	struct client *c = arg;
	struct grpc_server *s = c->server;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t n = recv(c->fd, s->read_buf, READ_SIZE, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_close(c);
			return;
		}
		bool was_woken = c->is_woken;
		c->is_woken = true;
		if (n > 0)
			(void)grpc_conn_input(c->conn, s->read_buf,
					      (size_t)n); /* is_broken says it */
		c->is_woken = was_woken;
	}
	client_step(c);
}

struct woken {
	struct grpc_server *server;
	struct client *client;
};

/* Many operations in one round of the loop are written together: the wake-up is posted. */
static void on_woken(void *arg)
{
	struct woken *w = arg;
	struct grpc_server *s = w->server;

	s->wakes--;
	/* The client may be gone by now, and another one at its address is a harmless wake-up. */
	struct client *c = s->clients;
	while (c && c != w->client)
		c = c->next;
	free(w);
	if (c && c->is_woken) {
		c->is_woken = false;
		client_step(c);
	}
	check_done(s);
}

static void env_wake(struct grpc_conn *conn)
{
	struct client *c = conn->owner;

	if (c->is_woken)
		return;
	c->is_woken = true;

	struct woken *w = NEW(struct woken);
	*w = (struct woken){ c->server, c };
	c->server->wakes++;
	loop_post(c->server->loop, on_woken, w);
}

int grpc_server_add(struct grpc_server *s, int fd)
{
	struct client *c = NEW(struct client);

	c->server = s;
	c->fd = fd;
	int r = loop_io_add(s->loop, fd, EPOLLIN, on_client, c, &c->io);
	if (r < 0) {
		free(c);
		close(fd);
		return r;
	}
	c->conn = grpc_conn_new(&s->env, c);
	(void)socket_peer(fd, &c->conn->peer); /* stays 0: unknown */
	c->next = s->clients;
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->n_clients++;
	client_step(c);
	return 0;
}

static void on_accept(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct listener *l = arg;

	for (int i = 0; i < 64; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE) && l->server->clients)
			loop_io_set(l->io, 0); /* until a connection ends */
		if (fd < 0)
			return;
		if (l->server->n_clients >= GRPC_MAX_CONNS)
			close(fd);
		else
			(void)grpc_server_add(l->server, fd); /* closes it on failure */
	}
}

int grpc_server_listen(struct grpc_server *s, int fd)
{
	struct listener *l = NEW(struct listener);

	*l = (struct listener){ .server = s, .fd = fd };
	int r = loop_io_add(s->loop, fd, EPOLLIN, on_accept, l, &l->io);
	if (r < 0) {
		close(fd);
		free(l);
		return r;
	}
	l->next = s->listeners;
	s->listeners = l;
	return 0;
}

static void close_listeners(struct grpc_server *s)
{
	while (s->listeners) {
		struct listener *l = s->listeners;

		s->listeners = l->next;
		loop_io_remove(l->io);
		close(l->fd);
		free(l);
	}
}

static void on_grace(UNUSED struct loop_timer *t, void *arg)
{
	struct grpc_server *s = arg;

	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		grpc_conn_cancel_all(c->conn);
		(void)flush(c); /* it is closed either way */
		client_close(c);
	}
}

void grpc_server_stop(struct grpc_server *s, uint64_t grace_ns, void (*done)(void *), void *arg)
{
	s->is_stopping = true;
	s->done = done;
	s->done_arg = arg;
	close_listeners(s);
	s->grace = loop_timer_add(s->loop, grace_ns, on_grace, s);
	for (struct client *c = s->clients; c; c = c->next)
		grpc_conn_drain(c->conn);
	check_done(s);
}

struct grpc_server *grpc_server_new(struct loop *loop, struct pool *pool,
				    const struct rpc_service *services, void *user)
{
	struct grpc_server *s = NEW(struct grpc_server);

	s->env = (struct grpc_env){ .run = env_run,
				    .post = env_post,
				    .wake = env_wake,
				    .call_gone = env_call_gone,
				    .services = services,
				    .user = user };
	s->loop = loop;
	s->pool = pool;
	return s;
}

void grpc_server_log(struct grpc_server *s, grpc_log_fn *fn)
{
	s->env.log = fn;
}

void grpc_server_on_start(struct grpc_server *s, grpc_start_fn *fn)
{
	s->env.start = fn;
}

void grpc_server_limits(struct grpc_server *s, size_t max_recv, size_t max_send)
{
	s->env.max_recv = max_recv;
	s->env.max_send = max_send;
}

void grpc_server_free(struct grpc_server *s)
{
	if (!s)
		return;
	close_listeners(s);
	loop_timer_remove(s->grace);
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		client_close(c);
	}
	free(s);
}
