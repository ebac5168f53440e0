/* One request over curl: bounded, with redirects that lose what was for the first host only. */
#include "image/registry_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_REDIRECTS = 10, CONNECT_SECONDS = 30, STALL_SECONDS = 30, HEADER_MAX = 16 * 1024 };

void exchange_done(struct exchange *x)
{
	free(x->content_type);
	free(x->digest);
	free(x->retry_after);
	free(x->limit);
	free(x->remaining);
	free(x->location);
	strv_done(&x->challenges);
	str_done(&x->error_body);
}

/* What the callbacks see of one hop. */
struct hop {
	struct exchange *x;
	CURL *curl;
	struct err *e;
	char *location;
	uint64_t skip; /* bytes before the offset, from a server that knows no ranges */
	uint64_t sent; /* of the upload */
	bool has_body;
};

/* The header's value when line begins with "name:"; trimmed, malloc'd. */
static char *value_of(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
		return NULL;
	line += len + 1;
	n -= len + 1;
	while (n && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	while (n && strchr(" \t\r\n", line[n - 1]))
		n--;
	return xstrndup(line, n);
}

static void keep(char **where, char *value)
{
	if (!value)
		return;
	free(*where);
	*where = value;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct hop *h = arg;
	size_t n = size * count;

	if (n > HEADER_MAX)
		return 0;
	keep(&h->x->content_type, value_of(line, n, "content-type"));
	keep(&h->x->digest, value_of(line, n, "docker-content-digest"));
	keep(&h->x->retry_after, value_of(line, n, "retry-after"));
	keep(&h->x->limit, value_of(line, n, "ratelimit-limit"));
	keep(&h->x->remaining, value_of(line, n, "ratelimit-remaining"));
	keep(&h->location, value_of(line, n, "location"));
	char *challenge = value_of(line, n, "www-authenticate");
	if (challenge && h->x->challenges.n < MAX_CHALLENGES)
		strv_add_take(&h->x->challenges, challenge);
	else
		free(challenge);
	return n;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct hop *h = arg;
	size_t n = size * count, all = n;
	long status = 0;

	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299) {
		size_t room = ERROR_BODY_MAX - h->x->error_body.len;

		str_addn(&h->x->error_body, bytes, n < room ? n : room);
		return all;
	}
	if (!h->has_body) {
		h->has_body = true;
		h->x->is_partial = status == 206;
		h->skip = status == 206 ? 0 : h->x->offset;
	}
	size_t drop = n < h->skip ? n : (size_t)h->skip;
	h->skip -= drop;
	bytes += drop;
	n -= drop;
	if (n && h->x->sink && h->x->sink(h->x->arg, bytes, n, h->e) < 0) {
		h->x->sink_failed = true;
		return 0;
	}
	return all;
}

static size_t on_upload(char *to, size_t size, size_t count, void *arg)
{
	struct hop *h = arg;
	const struct upload *u = h->x->upload;
	size_t n = size * count, left = (size_t)(u->size - h->sent);

	if (n > left)
		n = left;
	if (u->fd < 0)
		memcpy(to, u->bytes + h->sent, n);
	else {
		ssize_t r = pread(u->fd, to, n, (off_t)h->sent);

		if (r <= 0 && n)
			return CURL_READFUNC_ABORT; /* shorter than it said */
		n = (size_t)r;
	}
	h->sent += n;
	return n;
}

static CURL *take_handle(struct registry *r)
{
	CURL *c = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->n_idle)
		c = r->idle[--r->n_idle];
	pthread_mutex_unlock(&r->lock);
	if (c)
		curl_easy_reset(c); /* the connections stay */
	else
		c = curl_easy_init();
	if (!c)
		BUG("curl_easy_init");
	return c;
}

static void give_handle(struct registry *r, CURL *c)
{
	pthread_mutex_lock(&r->lock);
	GROW(r->idle, r->n_idle, r->idle_cap);
	r->idle[r->n_idle++] = c;
	pthread_mutex_unlock(&r->lock);
}

static struct curl_slist *add_headers(struct curl_slist *l, const char *const *v)
{
	for (; v && *v; v++)
		l = curl_slist_append(l, *v);
	return l;
}

/* TLS settings of the endpoint hold for its own host; a redirect elsewhere has the system's. */
static void set_tls(CURL *c, const struct endpoint *ep)
{
	curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (!ep)
		return;
	if (ep->cfg->skip_verify) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (ep->ca.data)
		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ep->ca);
	if (ep->cfg->cert) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, ep->cfg->cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY, ep->cfg->key);
	}
}

static struct curl_slist *set_upload(CURL *c, const struct exchange *x, struct curl_slist *headers)
{
	const struct upload *u = x->upload;

	if (u) {
		AUTO_FREE char *type = xasprintf("Content-Type: %s", u->type);

		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)u->size);
		headers = curl_slist_append(headers, type);
		headers = curl_slist_append(headers, "Expect:"); /* its answer would cost a round */
	} else if (strcmp(x->method, "POST") == 0 && !x->post) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
	}
	if (u || strcmp(x->method, "POST") == 0)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, x->method);
	return headers;
}

static struct curl_slist *set_request(CURL *c, const struct exchange *x, const char *url,
				      bool is_own)
{
	struct curl_slist *headers = NULL;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_USERAGENT, "casco/" CASCO_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
			 is_own && x->tls && x->tls->cfg->dial_timeout_ms
				 ? (long)x->tls->cfg->dial_timeout_ms
				 : CONNECT_SECONDS * 1000L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L * 1024);
	if (strcmp(x->method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (x->post)
		curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, x->post);
	headers = set_upload(c, x, headers);
	if (x->accept) {
		AUTO_FREE char *line = xasprintf("Accept: %s", x->accept);

		headers = curl_slist_append(headers, line);
	}
	if (x->offset) {
		AUTO_FREE char *line =
			xasprintf("Range: bytes=%llu-", (unsigned long long)x->offset);

		headers = curl_slist_append(headers, line);
	}
	if (is_own) {
		headers = add_headers(headers, x->headers);
		headers = add_headers(headers, x->headers2);
	}
	if (is_own && x->authorization) {
		AUTO_FREE char *line = xasprintf("Authorization: %s", x->authorization);

		headers = curl_slist_append(headers, line);
	}
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	set_tls(c, is_own ? x->tls : NULL);
	return headers;
}

/* Without what a query may hold: signatures of storage servers are secrets. */
static int url_len(const char *url)
{
	return (int)strcspn(url, "?");
}

/* In Go's words, which people search for and clients compare. */
static int say_failed(const struct exchange *x, const char *url, CURLcode code, long os_error,
		      struct err *e)
{
	const char *host = strstr(url, "://") ? strstr(url, "://") + 3 : url;
	int host_len = (int)strcspn(host, "/?#");
	const char *bracket = memchr(host, ']', (size_t)host_len); /* an IPv6 address */
	const char *name_end = bracket ? bracket : host;
	bool has_port = memchr(name_end, ':', (size_t)(host + host_len - name_end));
	const char *port = has_port ? "" : strncmp(url, "https", 5) == 0 ? ":443" : ":80";
	char method[8];

	snprintf(method, sizeof method, "%c%s", x->method[0], x->method + 1);
	for (char *p = method + 1; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (code == CURLE_COULDNT_CONNECT && os_error)
		err_set(e, ERR_UNAVAILABLE, "dial tcp %.*s%s: connect: %s", host_len, host, port,
			err_errno_text((int)os_error));
	else if (code == CURLE_COULDNT_RESOLVE_HOST)
		err_set(e, ERR_UNAVAILABLE, "dial tcp: lookup %.*s: no such host",
			(int)strcspn(host, ":/?#"), host);
	else
		err_set(e, ERR_UNAVAILABLE, "%s", curl_easy_strerror(code));
	return err_wrap(e, "failed to do request: %s \"%.*s\"", method, url_len(url), url);
}

static int perform(struct registry *r, struct exchange *x, const char *url, bool is_own,
		   char **ret_location, struct err *e)
{
	CURL *c = take_handle(r);
	struct hop h = { .x = x, .curl = c, .e = e };
	struct curl_slist *headers = set_request(c, x, url, is_own);
	long stall = r->cfg.stall_seconds ? (long)r->cfg.stall_seconds : STALL_SECONDS;
	curl_off_t length = -1;

	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, stall);
	keep(&x->content_type, xstrdup(""));
	strv_done(&x->challenges);
	str_done(&x->error_body);
	x->error_body = STR_INIT(ERROR_BODY_MAX);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &h);
	if (x->upload) {
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(c, CURLOPT_READDATA, &h);
	}
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &h);
	if (r->cfg.debug)
		registry_trace(c, r->cfg.debug);
	CURLcode code = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &x->status);
	curl_easy_getinfo(c, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	x->length = length;
	char *address = NULL;
	curl_easy_getinfo(c, CURLINFO_PRIMARY_IP, &address);
	snprintf(x->address, sizeof x->address, "%s", address ? address : "");
	curl_easy_getinfo(c, CURLINFO_HTTP_VERSION, &x->version);
	x->tls_failed = code == CURLE_SSL_CONNECT_ERROR;
	x->is_stalled = code == CURLE_OPERATION_TIMEDOUT && r->cfg.stall_seconds;
	x->is_untrusted = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM;
	curl_slist_free_all(headers);
	long os_error = 0;
	curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os_error);
	give_handle(r, c);
	if (code != CURLE_OK) {
		free(h.location);
		if (x->sink_failed)
			return -1; /* *e is the sink's */
		return say_failed(x, url, code, os_error, e);
	}
	*ret_location = h.location;
	return 0;
}

bool registry_same_origin(const char *a, const char *b)
{
	const char *ra = strstr(a, "://"), *rb = strstr(b, "://");

	if (!ra || !rb)
		return false;
	size_t na = (size_t)(ra + 3 - a) + strcspn(ra + 3, "/?#");
	size_t nb = (size_t)(rb + 3 - b) + strcspn(rb + 3, "/?#");
	return na == nb && strncasecmp(a, b, na) == 0;
}

char *registry_absolute(const char *base, const char *location)
{
	CURLU *u = curl_url();
	char *text = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = xstrdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return copy;
}

int registry_http(struct registry *r, struct exchange *x, struct err *e)
{
	AUTO_FREE char *url = xstrdup(x->url);

	for (int hops = 0;; hops++) {
		char *location = NULL;

		x->is_foreign = !registry_same_origin(url, x->url);
		if (perform(r, x, url, !x->is_foreign, &location, e) < 0)
			return -1;
		bool is_redirect = x->status == 301 || x->status == 302 || x->status == 303 ||
				   x->status == 307 || x->status == 308;
		if (!is_redirect || !location || x->post || x->upload) {
			keep(&x->location, location);
			return 0;
		}
		char *next = registry_absolute(url, location);
		free(location);
		if (!next || hops == MAX_REDIRECTS) {
			free(next);
			return err_set(e, ERR_UNAVAILABLE, "%s \"%.*s\": %s", x->method,
				       url_len(x->url), x->url,
				       next ? "stopped after 10 redirects" : "bad redirect");
		}
		if (str_starts(url, "https:") && !str_starts(next, "https:")) {
			free(next);
			return err_set(e, ERR_UNAVAILABLE,
				       "%s \"%.*s\": refused a redirect from https to http",
				       x->method, url_len(x->url), x->url);
		}
		free(url);
		url = next;
	}
}

static const char *status_name(long status)
{
	static const struct {
		long status;
		const char *name;
	} names[] = {
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 410, "Gone" },
		{ 416, "Requested Range Not Satisfiable" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "";
}

/* The first message of the registry's error document, if it is one: printable, short. */
static void server_message(const struct exchange *x, char *buf, size_t n)
{
	AUTO_JSON json_object *root = NULL;
	json_object *errors = NULL;
	const char *message = NULL;
	struct err e = { 0 };

	buf[0] = 0;
	if (!x->error_body.len ||
	    jsonr_parse(x->error_body.ptr, x->error_body.len, &root, &e) < 0 ||
	    jsonr_array(root, "errors", &errors, &e) < 0 || !errors ||
	    json_object_array_length(errors) == 0 ||
	    jsonr_string(json_object_array_get_idx(errors, 0), "message", &message, &e) < 0 ||
	    !message)
		return;
	snprintf(buf, n, ": %.200s", message);
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
}

int registry_status_error(const struct registry *r, const struct exchange *x, struct err *e)
{
	char message[256];
	enum err_code code = ERR_UNKNOWN;

	if (x->status == 404) {
		AUTO_FREE char *ref = reference_text(&r->ref);

		return err_set(e, ERR_NOT_FOUND, "%s", ref);
	}
	if (x->status == 401)
		code = ERR_UNAUTHENTICATED;
	else if (x->status == 403)
		code = ERR_PERMISSION_DENIED;
	else if (x->status == 429 || x->status >= 500)
		code = ERR_UNAVAILABLE;
	server_message(x, message, sizeof message);
	err_set(e, code, "unexpected status from %s request to %.*s: %ld %s%s", x->method,
		url_len(x->url), x->url, x->status, status_name(x->status), message);
	if (x->status == 429 && x->limit)
		err_add(e, "rate limit %.60s, remaining %.60s", x->limit,
			x->remaining ? x->remaining : "unknown");
	return -1;
}
