#include "cmd/containerd/otlp_http.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "cmd/containerd/otlp_grpc.h"
#include "cmd/containerd/otlp_json.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <string.h>
#include <strings.h>

enum { GRPC_PREFIX = 5, TEXT_MAX = 200 };

/* What we need of libcurl, by its own declarations. */
struct curl_calls {
	__typeof__(curl_easy_init) *init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_perform) *perform;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_strerror) *text;
	__typeof__(curl_easy_cleanup) *cleanup;
	__typeof__(curl_slist_append) *append;
	__typeof__(curl_slist_free_all) *free_list;
};

struct otlp_http {
	const struct config_tracing *cfg;
	struct curl_calls curl;
	char *url;
};

/* gRPC's end of a call, in headers or behind the body. */
struct answer {
	char status[8], message[TEXT_MAX];
};

/* --- one request --- */

static void append(const struct otlp_http *h, struct curl_slist **l, const char *line)
{
	*l = h->curl.append(*l, line) ?: *l;
}

static struct curl_slist *make_headers(const struct otlp_http *h)
{
	static const char *const types[] = { [OTLP_HTTP_PROTOBUF] =
						     "Content-Type: application/x-protobuf",
					     [OTLP_HTTP_JSON] = "Content-Type: application/json",
					     [OTLP_GRPC] = "Content-Type: application/grpc" };
	struct curl_slist *l = NULL;
	AUTO_FREE char *copy = xstrdup(h->cfg->headers);

	append(h, &l, types[h->cfg->protocol]);
	append(h, &l, "Expect:"); /* no question before a large body */
	if (h->cfg->protocol == OTLP_GRPC)
		append(h, &l, "TE: trailers");
	for (char *p = copy, *next; p && *p; p = next) {
		char *value;

		next = strchr(p, ',');
		if (next)
			*next++ = 0;
		value = strchr(p, '=');
		if (!value)
			continue;
		*value++ = 0;
		AUTO_FREE char *line = xasprintf("%s: %s", p, value);
		append(h, &l, line);
	}
	return l;
}

/* A collector's answer is of no use: it is read and forgotten. */
static size_t forget(UNUSED char *p, size_t size, size_t n, UNUSED void *arg)
{
	return size * n;
}

static void keep(const char *line, size_t n, const char *name, char *to, size_t max)
{
	size_t skip = strlen(name);

	if (n <= skip || strncasecmp(line, name, skip) != 0)
		return;
	for (line += skip, n -= skip; n && *line == ' '; n--)
		line++;
	while (n && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	snprintf(to, max, "%.*s", (int)n, line);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	keep(p, size * n, "grpc-status:", a->status, sizeof a->status);
	keep(p, size * n, "grpc-message:", a->message, sizeof a->message);
	return size * n;
}

static void set_tls(const struct otlp_http *h, CURL *c)
{
	const struct config_tracing *t = h->cfg;

	if (*t->ca) { /* instead of the host's, of which libcurl would keep the folder */
		(void)h->curl.setopt(c, CURLOPT_CAPATH, NULL);
		(void)h->curl.setopt(c, CURLOPT_CAINFO, t->ca);
	}
	if (*t->certificate)
		(void)h->curl.setopt(c, CURLOPT_SSLCERT, t->certificate);
	if (*t->key)
		(void)h->curl.setopt(c, CURLOPT_SSLKEY, t->key);
}

static int check(const struct otlp_http *h, CURL *c, const struct answer *a, struct err *e)
{
	long status = 0;
	uint32_t code = 0;

	(void)h->curl.getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 != 2)
		return err_set(e, ERR_UNAVAILABLE, "post %s: status %ld", h->url, status);
	if (h->cfg->protocol != OTLP_GRPC)
		return 0;
	if (num_u32(a->status, &code) < 0 || code)
		return err_set(e, ERR_UNAVAILABLE, "export to %s: grpc-status \"%s\" %s", h->url,
			       a->status, a->message);
	return 0;
}

static int post(struct otlp_http *h, const void *body, size_t n, long ms, struct err *e)
{
	CURL *c = h->curl.init();
	struct curl_slist *headers = make_headers(h);
	struct answer a = { 0 };

	if (!c)
		return err_set(e, ERR_INTERNAL, "curl_easy_init");
	(void)h->curl.setopt(c, CURLOPT_URL, h->url);
	(void)h->curl.setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)h->curl.setopt(c, CURLOPT_POSTFIELDS, body);
	(void)h->curl.setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
	(void)h->curl.setopt(c, CURLOPT_HTTPHEADER, headers);
	(void)h->curl.setopt(c, CURLOPT_TIMEOUT_MS, ms);
	(void)h->curl.setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)h->curl.setopt(c, CURLOPT_WRITEFUNCTION, forget);
	(void)h->curl.setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)h->curl.setopt(c, CURLOPT_HEADERDATA, &a);
	if (h->cfg->protocol == OTLP_GRPC)
		(void)h->curl.setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	set_tls(h, c);
	CURLcode r = h->curl.perform(c);
	int rc = r == CURLE_OK
			 ? check(h, c, &a, e)
			 : err_set(e, ERR_UNAVAILABLE, "post %s: %s", h->url, h->curl.text(r));

	h->curl.cleanup(c);
	h->curl.free_list(headers);
	return rc;
}

int otlp_http_post(struct otlp_http *h, const void *spans, size_t n, long ms, struct err *e)
{
	AUTO_STR struct str json = STR_INIT(OTLP_JSON_MAX);
	AUTO_FREE uint8_t *message = NULL;

	switch (h->cfg->protocol) {
	case OTLP_HTTP_JSON:
		otlp_json(spans, n, &json);
		return post(h, str_c(&json), json.len, ms, e);
	case OTLP_GRPC:
		message = xmalloc(n + GRPC_PREFIX);
		message[0] = 0; /* not compressed */
		for (int i = 0; i < 4; i++)
			message[1 + i] = (uint8_t)(n >> (24 - 8 * i));
		memcpy(message + GRPC_PREFIX, spans, n);
		return post(h, message, n + GRPC_PREFIX, ms, e);
	case OTLP_HTTP_PROTOBUF:
		break;
	}
	return post(h, spans, n, ms, e);
}

/* --- start and end --- */

/* Never unloaded: its libraries have threads' keys and exit handlers of their own. */
static int load_curl(struct curl_calls *c, struct err *e)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	__typeof__(curl_global_init) *global_init;

	if (!lib)
		return err_set(e, ERR_FAILED_PRECONDITION, "tracing: %s", dlerror());
	c->init = (__typeof__(c->init))dlsym(lib, "curl_easy_init");
	c->setopt = (__typeof__(c->setopt))dlsym(lib, "curl_easy_setopt");
	c->perform = (__typeof__(c->perform))dlsym(lib, "curl_easy_perform");
	c->getinfo = (__typeof__(c->getinfo))dlsym(lib, "curl_easy_getinfo");
	c->text = (__typeof__(c->text))dlsym(lib, "curl_easy_strerror");
	c->cleanup = (__typeof__(c->cleanup))dlsym(lib, "curl_easy_cleanup");
	c->append = (__typeof__(c->append))dlsym(lib, "curl_slist_append");
	c->free_list = (__typeof__(c->free_list))dlsym(lib, "curl_slist_free_all");
	global_init = (__typeof__(global_init))dlsym(lib, "curl_global_init");
	if (!c->init || !c->setopt || !c->perform || !c->getinfo || !c->text || !c->cleanup ||
	    !c->append || !c->free_list || !global_init || global_init(CURL_GLOBAL_ALL))
		return err_set(e, ERR_FAILED_PRECONDITION, "tracing: libcurl.so.4 is not complete");
	return 0;
}

int otlp_http_new(const struct config_tracing *cfg, struct otlp_http **ret, struct err *e)
{
	struct otlp_http *h = NEW(struct otlp_http);

	h->cfg = cfg;
	if (load_curl(&h->curl, e) < 0) {
		free(h);
		return -1;
	}
	h->url = cfg->protocol == OTLP_GRPC ? otlp_grpc_url(cfg->endpoint) : xstrdup(cfg->endpoint);
	*ret = h;
	return 0;
}

void otlp_http_free(struct otlp_http *h)
{
	if (!h)
		return;
	free(h->url);
	free(h);
}
