/* The streaming server: where it listens, and what it hands out. */
#include "api/cri/stream_conn.h"
#include "api/cri/stream_tls.h"
#include "base/log.h"
#include "engine/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 128 };

static const char *const paths[STREAM_KINDS] = {
	[STREAM_EXEC] = "exec",
	[STREAM_ATTACH] = "attach",
	[STREAM_FORWARD] = "portforward",
};

struct stream_request *stream_request_new(enum stream_kind kind, const char *id, const char *pod)
{
	struct arena *a = arena_new();
	struct stream_request *r = ARENA_NEW(a, struct stream_request);

	r->arena = a;
	r->kind = kind;
	r->id = arena_strdup(a, id);
	r->pod = arena_strdup(a, pod);
	return r;
}

void stream_request_free(struct stream_request *r)
{
	if (r)
		arena_free(r->arena);
}

/* --- listening --- */

static char *url_of(int fd, bool is_tls)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	struct sockaddr_storage at;
	socklen_t n = sizeof at;

	if (getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
	    getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV))
		return NULL;
	return xasprintf(strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s",
			 is_tls ? "https" : "http", host, port);
}

static int listen_on(const struct config_stream *cfg, struct err *e)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	const char *host = *cfg->address ? cfg->address : "127.0.0.1";
	struct addrinfo *found = NULL;
	int on = 1, r = getaddrinfo(host, cfg->port, &hints, &found);

	if (r)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "stream_server_address %s, stream_server_port %s: %s", host,
			       cfg->port, gai_strerror(r));
	AUTO_FD int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
			    bind(fd, found->ai_addr, found->ai_addrlen) < 0 ||
			    listen(fd, BACKLOG) < 0
		    ? errno
		    : 0;
	freeaddrinfo(found);
	if (r)
		return err_sys(e, r, "listen tcp %s:%s", host, cfg->port);
	return TAKE_FD(fd);
}

/* The one that has said nothing for longest makes room: whoever has a token shows it within the
 * first moments, while those who come only to keep others out have to come faster and faster. */
static void drop_oldest_unknown(struct stream_server *s)
{
	struct stream_conn *oldest = NULL;

	for (struct stream_conn *c = s->conns; c; c = c->next) /* the newest comes first */
		if (!c->is_known)
			oldest = c;
	if (oldest)
		stream_conn_free(oldest);
}

static void on_pause_over(UNUSED struct loop_timer *t, void *arg)
{
	struct stream_server *s = arg;

	loop_timer_remove(TAKE_PTR(s->pause));
	loop_io_set(s->io, EPOLLIN);
}

/* Of strangers, who may be many: the rest of them waits in the socket's queue. */
static void count_handshake(struct stream_server *s)
{
	uint64_t now = loop_now();

	if (now - s->second >= STREAM_SECOND_NS) {
		s->second = now;
		s->n_handshakes = 0;
	}
	if (++s->n_handshakes < STREAM_HANDSHAKES)
		return;
	loop_io_set(s->io, 0);
	s->pause = loop_timer_add(s->loop, s->second + STREAM_SECOND_NS - now, on_pause_over, s);
}

static void on_client(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct stream_server *s = arg;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	if (fd < 0)
		return;
	if (s->tls)
		count_handshake(s);
	if (s->n_unknown >= STREAM_UNKNOWN)
		drop_oldest_unknown(s);
	if (s->n_conns >= STREAM_CONNECTIONS) {
		close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* its timeout stays */
	stream_conn_new(s, fd);
}

static void add_listener(void *arg)
{
	struct stream_server *s = arg;

	if (!s->io && !s->is_stopping &&
	    loop_io_add(s->loop, s->fd, EPOLLIN, on_client, s, &s->io) < 0)
		log_error(LOG_NONE, "the streaming server cannot watch its socket");
}

/* Any thread, under s->lock. */
static int open_listener(struct stream_server *s, struct err *e)
{
	if (s->fd >= 0)
		return 0;
	s->fd = listen_on(&s->en->cfg->stream, e);
	if (s->fd < 0)
		return -1;
	s->url = url_of(s->fd, s->tls);
	loop_post(s->loop, add_listener, s);
	return 0;
}

/* What of the keys contradicts each other, in containerd's words. */
static int check(const struct config_stream *c, struct err *e)
{
	if (!c->tls && *c->cert)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "X509KeyPairStreaming.TLSCertFile is set but EnableTLSStreaming is "
			       "not set");
	if (!c->tls && *c->key)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "X509KeyPairStreaming.TLSKeyFile is set but EnableTLSStreaming is "
			       "not set");
	if (*c->cert && !*c->key)
		return err_set(e, ERR_INVALID_ARGUMENT, "must set X509KeyPairStreaming.TLSKeyFile");
	if (*c->key && !*c->cert)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "must set X509KeyPairStreaming.TLSCertFile");
	return 0;
}

int stream_server_start(struct engine *en, struct stream_server **ret, struct err *e)
{
	const struct config_stream *cfg = &en->cfg->stream;
	struct stream_tls *tls = NULL;
	struct err none = { 0 };

	if (check(cfg, e) < 0 || (cfg->tls && stream_tls_open(cfg->cert, cfg->key, &tls, e) < 0))
		return err_wrap(e, "failed to create stream server");

	struct stream_server *s = NEW(struct stream_server);

	stream_fifos_clear(en);
	*s = (struct stream_server){
		.en = en, .loop = en->loop, .pool = en->pool, .fd = -1, .tls = tls
	};
	pthread_mutex_init(&s->lock, NULL);
	stream_tokens_init(&s->tokens);
	if (open_listener(s, &none) < 0)
		log_warn(LOG({ "error", none.msg }), "the streaming server does not listen yet");
	else
		log_info(LOG({ "url", s->url }), "streaming server started");
	*ret = s;
	return 0;
}

int stream_server_url(struct stream_server *s, struct stream_request *r, struct arena *a,
		      const char **ret, struct err *e)
{
	char token[TOKEN_LEN + 1];
	int done = -1;

	pthread_mutex_lock(&s->lock);
	if (open_listener(s, e) == 0) {
		/* the token first: its request is not ours any more then */
		const char *path = paths[r->kind];

		if (stream_tokens_put(&s->tokens, r, loop_now(), token) < 0) {
			err_set(e, ERR_RESOURCE_EXHAUSTED,
				"maximum number of in-flight requests exceeded");
		} else {
			r = NULL;
			*ret = arena_printf(a, "%s/%s/%s", s->url, path, token);
			done = 0;
		}
	}
	pthread_mutex_unlock(&s->lock);
	stream_request_free(r);
	return done;
}

/* --- the end --- */

void stream_server_stop(struct stream_server *s)
{
	if (!s)
		return;
	s->is_stopping = true;
	loop_timer_remove(TAKE_PTR(s->pause));
	loop_io_remove(s->io);
	s->io = NULL;
	while (s->conns)
		stream_conn_free(s->conns);
	stream_processes_stop(s);
}

void stream_server_free(struct stream_server *s)
{
	if (!s)
		return;
	close_fd(&s->fd);
	stream_tokens_done(&s->tokens);
	stream_tls_free(s->tls);
	pthread_mutex_destroy(&s->lock);
	free(s->url);
	free(s);
}
