#include "cmd/containerd/tcp.h"

#include "api/containerd/services.h"
#include "base/log.h"
#include "cmd/containerd/http.h"
#include "cmd/containerd/tls.h"
#include "os/fd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct tcp {
	struct engine *en;
	struct grpc_server *server;
	struct tls *tls; /* NULL: in clear text */
	bool is_stopping;
};

/* --- from the TLS thread to the loop's --- */

struct arrival {
	struct tcp *t;
	int fd;
};

static void arrived(void *arg)
{
	struct arrival *a = arg;

	if (a->t->is_stopping)
		close(a->fd);
	else
		(void)grpc_server_add(a->t->server, a->fd); /* closes it on failure */
	free(a);
}

static void give(int fd, void *arg)
{
	struct arrival *a = NEW(struct arrival);
	struct tcp *t = arg;

	*a = (struct arrival){ t, fd };
	loop_post(t->en->loop, arrived, a);
}

/* --- start and end --- */

static int listen_plain(struct tcp *t, int fd, struct err *e)
{
	int on = 1, r;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* its connections', too */
	r = grpc_server_listen(t->server, fd);
	return r < 0 ? err_sys(e, -r, "serve %s", t->en->cfg->tcp.address) : 0;
}

static int listen_tls(struct tcp *t, int fd, struct err *e)
{
	const struct config_tcp *c = &t->en->cfg->tcp;
	const struct tls_files files = { c->tls_cert, c->tls_key, c->tls_ca };

	if (tls_new(&files, &t->tls, e) < 0) {
		close(fd);
		return -1;
	}
	return tls_serve(t->tls, fd, give, t, e);
}

int tcp_new(struct engine *en, void (*set_up)(struct grpc_server *s, const struct config *cfg),
	    struct tcp **ret, struct err *e)
{
	const struct config_tcp *c = &en->cfg->tcp;
	struct tcp *t;
	int fd;

	*ret = NULL;
	if (!*c->address)
		return 0;
	if (http_listen_tcp(c->address, &fd, e) < 0)
		return err_wrap(e, "failed to get listener for TCP grpc endpoint");
	t = *ret = NEW(struct tcp);
	t->en = en;
	t->server = grpc_server_new(en->loop, en->pool,
				    c->disable_cri ? api_tcp_services : api_tcp_cri_services, en);
	set_up(t->server, en->cfg);
	if ((*c->tls_cert ? listen_tls : listen_plain)(t, fd, e) < 0)
		return err_wrap(e, "failed to get listener for TCP grpc endpoint");
	if (!*c->tls_ca)
		log_warn(LOG({ "address", c->address }),
			 "who reaches the TCP address needs no certificate there");
	log_info(LOG({ "address", c->address }), "serving TCP...");
	return 0;
}

void tcp_stop(struct tcp *t, uint64_t grace_ns, void (*done)(void *), void *arg)
{
	if (!t) {
		done(arg);
		return;
	}
	t->is_stopping = true;
	grpc_server_stop(t->server, grace_ns, done, arg);
}

void tcp_close(struct tcp *t)
{
	if (!t)
		return;
	t->is_stopping = true;
	tls_free(TAKE_PTR(t->tls));
}

void tcp_free(struct tcp *t)
{
	if (!t)
		return;
	tls_free(t->tls);
	if (t->server)
		grpc_server_free(t->server);
	free(t);
}
