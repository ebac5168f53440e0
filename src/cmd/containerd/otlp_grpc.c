#include "cmd/containerd/otlp_grpc.h"

#include "base/str.h"
#include "os/fd.h"
#include "wire/grpc_client.h"

#include "google/protobuf/empty.pb-c.h"
#include "opentelemetry/proto/trace/v1/trace.pb-c.h"
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define METHOD "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define DEFAULT_PORT "4317"

/* "http[s]://HOST[:PORT][/…]", HOST maybe in brackets. */
static void split(const char *url, char **ret_host, char **ret_port)
{
	const char *p = strstr(url, "://") + strlen("://");
	size_t n = strcspn(p, "/");
	bool has_brackets = *p == '[';
	size_t host = has_brackets ? strcspn(p, "]") + 1 : strcspn(p, ":/");

	if (host > n)
		host = n;
	*ret_host = has_brackets && host > 1 ? xstrndup(p + 1, host - 2) : xstrndup(p, host);
	*ret_port = host < n && p[host] == ':' ? xstrndup(p + host + 1, n - host - 1)
					       : xstrdup(DEFAULT_PORT);
}

char *otlp_grpc_url(const char *endpoint)
{
	AUTO_FREE char *host = NULL;
	AUTO_FREE char *port = NULL;

	split(endpoint, &host, &port);
	bool is_v6 = strchr(host, ':');
	return xasprintf("%.*s%s%s%s:%s" METHOD, (int)(strstr(endpoint, "://") - endpoint) + 3,
			 endpoint, is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

static int connect_one(const struct addrinfo *a, long ms)
{
	AUTO_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t n = sizeof(int);
	int why = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return TAKE_FD(fd);
	if (errno != EINPROGRESS)
		return -errno;

	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int r = poll(&p, 1, (int)ms);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0)
		return -errno;
	return why ? -why : TAKE_FD(fd);
}

static int open_connection(const char *url, long ms, struct err *e)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	AUTO_FREE char *host = NULL;
	AUTO_FREE char *port = NULL;
	struct addrinfo *all;
	int fd = -EADDRNOTAVAIL;

	split(url, &host, &port);
	int r = getaddrinfo(host, port, &hints, &all);
	if (r)
		return err_set(e, ERR_UNAVAILABLE, "look up %s: %s", host, gai_strerror(r));
	for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
		fd = connect_one(a, ms);
	freeaddrinfo(all);
	return fd < 0 ? err_sys(e, -fd, "connect to %s", url) : fd;
}

/* "K=V,K=V"; names of metadata are in small letters. */
static void add_headers(struct grpc_client *c, const char *headers)
{
	AUTO_FREE char *copy = xstrdup(headers);

	for (char *p = copy, *next; p && *p; p = next) {
		char *value = strchr(p, '=');

		next = strchr(p, ',');
		if (next)
			*next++ = 0;
		if (!value || (next && value > next))
			continue;
		*value++ = 0;
		for (char *k = p; *k; k++)
			*k = (char)tolower((unsigned char)*k);
		grpc_meta(c, p, value);
	}
}

int otlp_grpc_post(const struct config_tracing *cfg, const void *body, size_t n, long ms,
		   struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = (uint64_t)ms * 1000000 };
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_GRPC struct grpc_client *c = NULL;
	Opentelemetry__Proto__Trace__V1__TracesData *m =
		opentelemetry__proto__trace__v1__traces_data__unpack(NULL, n, body);
	void *answer;
	int fd = open_connection(cfg->endpoint, ms, e);

	if (!m)
		BUG("spans are packed wrongly");
	int r = fd < 0 ? -1 : grpc_connect_fd(fd, &c, e);
	if (r == 0) {
		add_headers(c, cfg->headers);
		r = grpc_call(c, METHOD, &m->base, &google__protobuf__empty__descriptor, a, &answer,
			      &opt, e);
	}
	opentelemetry__proto__trace__v1__traces_data__free_unpacked(m, NULL);
	return r < 0 ? err_wrap(e, "export to %s", cfg->endpoint) : 0;
}
