/* The request that a client begins with: which token, which protocol. */
#include "api/cri/stream_conn.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static const char *const paths[STREAM_KINDS] = {
	[STREAM_EXEC] = "/exec/",
	[STREAM_ATTACH] = "/attach/",
	[STREAM_FORWARD] = "/portforward/",
};

/* Newest first; the version is the place from the end. */
static const char *const remote_protocols[] = { "v4.channel.k8s.io", "v3.channel.k8s.io",
						"v2.channel.k8s.io", "channel.k8s.io", NULL };
static const char *const forward_protocols[] = { "portforward.k8s.io", NULL };

/* --- answers --- */

static const char *status_text(int status)
{
	return status == 400   ? "Bad Request"
	       : status == 403 ? "Forbidden"
	       : status == 404 ? "Not Found"
	       : status == 405 ? "Method Not Allowed"
	       : status == 429 ? "Too Many Requests"
	       : status == 431 ? "Request Header Fields Too Large"
	       : status == 505 ? "HTTP Version Not Supported"
			       : "Error";
}

static int refuse(struct stream_conn *c, int status, const char *more, const char *text)
{
	str_addf(&c->ws.out,
		 "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
		 "X-Content-Type-Options: nosniff\r\nContent-Length: %zu\r\nConnection: close\r\n"
		 "\r\n%s\n",
		 status, status_text(status), more, strlen(text) + 1, text);
	c->is_finishing = true;
	c->until = loop_now() + STREAM_GOODBYE_NS;
	return status;
}

/* --- SPDY --- */

static const char *choose(const struct http1_request *r, const char *const *known,
			  unsigned *ret_place)
{
	const char *value;

	for (size_t i = 0; (value = http1_field(r, "X-Stream-Protocol-Version", i)); i++)
		for (unsigned k = 0; known[k]; k++)
			if (strcmp(known[k], value) == 0) {
				*ret_place = k;
				return value;
			}
	return NULL;
}

static int refuse_protocol(struct stream_conn *c, const struct http1_request *r,
			   const char *const *known)
{
	AUTO_STR struct str fields = STR_INIT(4096), text = STR_INIT(4096);
	const char *value;

	if (!http1_field(r, "X-Stream-Protocol-Version", 0))
		return refuse(c, 400, "",
			      "unable to upgrade: X-Stream-Protocol-Version is required");
	str_add(&text, "unable to upgrade: unable to negotiate protocol: client supports [");
	for (size_t i = 0; (value = http1_field(r, "X-Stream-Protocol-Version", i)); i++)
		str_addf(&text, "%s%.100s", i ? " " : "", value);
	str_add(&text, "], server accepts [");
	for (size_t i = 0; known[i]; i++) {
		str_addf(&fields, "X-Accepted-Stream-Protocol-Versions: %s\r\n", known[i]);
		str_addf(&text, "%s%s", i ? " " : "", known[i]);
	}
	str_add(&text, "]");
	return refuse(c, 403, str_c(&fields), str_c(&text));
}

static int to_spdy(struct stream_conn *c, const struct http1_request *r, bool is_forward)
{
	const char *const *known = is_forward ? forward_protocols : remote_protocols;
	unsigned place = 0;
	const char *protocol = choose(r, known, &place);

	if (!protocol)
		return refuse_protocol(c, r, known);
	if (!http1_has_word(r, "Connection", "upgrade") ||
	    !http1_has_word(r, "Upgrade", "SPDY/3.1"))
		return refuse(c, 400, "",
			      "unable to upgrade: missing upgrade headers in request: it must have "
			      "Connection: Upgrade and Upgrade: SPDY/3.1");
	c->spdy = spdy_new();
	c->version = 4 - place;
	str_addf(spdy_out(c->spdy),
		 "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
		 "X-Stream-Protocol-Version: %s\r\n\r\n",
		 protocol);
	return 0;
}

/* --- WebSocket --- */

static int to_websocket(struct stream_conn *c, const struct http1_request *r)
{
	const char *key = http1_field(r, "Sec-WebSocket-Key", 0),
		   *version = http1_field(r, "Sec-WebSocket-Version", 0),
		   *list = http1_field(r, "Sec-WebSocket-Protocol", 0);
	const struct kube_channel_protocol *p = kube_channel_choose(list);
	char accept[WS_ACCEPT + 1];

	if (!version || strcmp(version, "13") != 0)
		return refuse(c, 400, "Sec-WebSocket-Version: 13\r\n",
			      "missing or bad WebSocket Version");
	if (!key || strlen(key) != 24 || strcmp(r->method, "GET") != 0)
		return refuse(c, 400, "", "missing or bad WebSocket key or method");
	for (size_t i = 1; !p && (list = http1_field(r, "Sec-WebSocket-Protocol", i)); i++)
		p = kube_channel_choose(list);
	if (!p)
		return refuse(c, 403, "",
			      "requested protocol(s) are not supported; supports "
			      "v5.channel.k8s.io, v4.channel.k8s.io, v4.base64.channel.k8s.io, "
			      "channel.k8s.io and base64.channel.k8s.io");
	ws_accept_key(key, accept);
	str_addf(&c->ws.out,
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Accept: %s\r\n",
		 accept);
	if (*p->name)
		str_addf(&c->ws.out, "Sec-WebSocket-Protocol: %s\r\n", p->name);
	str_add(&c->ws.out, "\r\n");
	c->channels = NEW(struct kube_channel_in);
	c->channels->protocol = p;
	return 0;
}

/* --- requests --- */

/* The request of its token: used up, whatever becomes of it.  NULL: there is none such. */
static struct stream_request *find(struct stream_conn *c, const char *target)
{
	size_t n = strcspn(target, "?");
	AUTO_FREE char *path = xstrndup(target, n);

	for (enum stream_kind k = 0; k < STREAM_KINDS; k++) {
		struct stream_request *r;

		if (!str_starts(path, paths[k]))
			continue;
		r = stream_tokens_take(&c->server->tokens, path + strlen(paths[k]), loop_now());
		if (r && r->kind == k)
			return r;
		stream_request_free(r);
		return NULL;
	}
	return NULL;
}

static size_t count_of_pod(const struct stream_server *s, const char *pod)
{
	size_t n = 0;

	for (const struct stream_conn *c = s->conns; c; c = c->next)
		n += c->pod && strcmp(c->pod, pod) == 0;
	return n;
}

int stream_conn_dispatch(struct stream_conn *c, char *head, size_t n)
{
	struct http1_request *r AUTO_FREE = NEW(struct http1_request);
	int got = http1_parse(head, n, r), status;

	if (got <= 0)
		return refuse(c, got ? -got : 400, "", "the request is not understood");
	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "POST") != 0)
		return refuse(c, 405, "Allow: GET, POST\r\n", "405: Method Not Allowed");

	struct stream_request *q = find(c, r->target);

	if (!q)
		return refuse(c, 404, "", "404 page not found");
	if (count_of_pod(c->server, q->pod) >= STREAM_OF_POD) {
		stream_request_free(q);
		return refuse(c, 429, "", "the pod has too many streams open");
	}
	c->is_known = true;
	c->pod = xstrdup(q->pod);
	c->server->n_unknown--;
	c->until = 0;
	if (http1_has_word(r, "Connection", "upgrade") && http1_has_word(r, "Upgrade", "websocket"))
		status = to_websocket(c, r);
	else
		status = to_spdy(c, r, q->kind == STREAM_FORWARD);
	log_debug(LOG({ "id", q->id }, { "path", paths[q->kind] }), "stream: status %d", status);
	if (status)
		stream_request_free(q);
	else if (q->kind == STREAM_FORWARD)
		stream_forward_new(c, q);
	else
		stream_remote_new(c, q);
	return status;
}
