#include "cmd/containerd/http.h"

#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_MAX = 8192, ANSWER_MAX = 16 << 20, BACKLOG = 16 };

struct http {
	struct pool *pool;
	struct loop_io *io;
	int fd;
	http_fn *fn;
	void *arg;
	atomic_uint clients;
};

struct http_client {
	struct http *http;
	int fd;
	uint64_t until;
};

int http_parse(const char *request, char **ret)
{
	const char *path = request + 4;
	size_t n;

	if (strncmp(request, "GET ", 4) != 0)
		return 405;
	n = strcspn(path, " ?\r\n");
	if (*path != '/' || !strstr(path + n, " HTTP/1."))
		return 400;
	*ret = xstrndup(path, n);
	return 200;
}

/* False when the client's time is over. */
static bool wait_for(const struct http_client *c, short events)
{
	struct pollfd p = { c->fd, events, 0 };
	uint64_t now = loop_now();

	return now < c->until && poll(&p, 1, (int)((c->until - now) / 1000000)) > 0;
}

static bool read_request(const struct http_client *c, char *buf)
{
	size_t n = 0;

	while (n < REQUEST_MAX - 1 && wait_for(c, POLLIN)) {
		ssize_t r = recv(c->fd, buf + n, REQUEST_MAX - 1 - n, MSG_DONTWAIT);

		if (r <= 0)
			return false;
		n += (size_t)r;
		buf[n] = 0;
		if (strstr(buf, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void write_all(const struct http_client *c, const char *p, size_t n)
{
	while (n && wait_for(c, POLLOUT)) {
		ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r <= 0)
			return;
		p += r;
		n -= (size_t)r;
	}
}

static void answer(struct http_client *c, const char *request)
{
	AUTO_STR struct str body = STR_INIT(ANSWER_MAX), head = STR_INIT(1024);
	const char *type = "text/plain; charset=utf-8";
	AUTO_FREE char *path = NULL;
	int status = http_parse(request, &path);

	if (status == 200) {
		const char *t = c->http->fn(c->http->arg, path, &body);

		if (t && !body.over)
			type = t;
		else
			status = t ? 500 : 404;
	}
	if (status != 200) {
		str_reset(&body);
		str_addf(&body, "%s\n",
			 status == 404   ? "404 page not found"
			 : status == 405 ? "only GET is served here"
					 : "bad request");
	}
	str_addf(&head,
		 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n",
		 status, status == 200 ? "OK" : "Error", type, body.len);
	c->until = loop_now() + HTTP_PATIENCE_NS; /* for taking it */
	write_all(c, str_c(&head), head.len);
	write_all(c, str_c(&body), body.len);
}

static void serve_client(void *arg)
{
	struct http_client *c = arg;
	AUTO_FREE char *buf = xmalloc(REQUEST_MAX);

	if (read_request(c, buf))
		answer(c, buf);
	close(c->fd);
	atomic_fetch_sub(&c->http->clients, 1);
	free(c);
}

static void on_accept(UNUSED struct loop_io *io, UNUSED uint32_t events, void *arg)
{
	struct http *h = arg;
	int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (atomic_fetch_add(&h->clients, 1) >= HTTP_CLIENTS) {
		atomic_fetch_sub(&h->clients, 1);
		close(fd);
		return;
	}
	struct http_client *c = NEW(struct http_client);
	*c = (struct http_client){ h, fd, loop_now() + HTTP_PATIENCE_NS };
	pool_run(h->pool, serve_client, c);
}

int http_serve(struct loop *l, struct pool *p, int fd, http_fn *fn, void *arg, struct http **ret,
	       struct err *e)
{
	struct http *h = NEW(struct http);

	*h = (struct http){ .pool = p, .fd = fd, .fn = fn, .arg = arg };
	int r = loop_io_add(l, fd, EPOLLIN, on_accept, h, &h->io);
	if (r < 0) {
		close(fd);
		free(h);
		return err_sys(e, -r, "serve HTTP");
	}
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	loop_io_remove(h->io);
	close(h->fd);
	free(h);
}

int http_listen_tcp(const char *address, int *ret, struct err *e)
{
	const struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST,
					.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	struct addrinfo *found = NULL;
	int on = 1, r = 0;

	if (!colon)
		return err_set(e, ERR_INVALID_ARGUMENT, "address %s: missing port in address",
			       address);
	size_t n = (size_t)(colon - address);
	bool is_bracketed = n >= 2 && address[0] == '[' && colon[-1] == ']';
	AUTO_FREE char *host = is_bracketed ? xstrndup(address + 1, n - 2) : xstrndup(address, n);
	r = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
	if (r)
		return err_set(e, ERR_INVALID_ARGUMENT, "address %s: %s", address, gai_strerror(r));
	AUTO_FD int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
			    bind(fd, found->ai_addr, found->ai_addrlen) < 0 ||
			    listen(fd, BACKLOG) < 0
		    ? errno
		    : 0;
	freeaddrinfo(found);
	if (r)
		return err_sys(e, r, "listen tcp %s", address);
	*ret = TAKE_FD(fd);
	return 0;
}
