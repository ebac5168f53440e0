/* What answers behind a registry's name, endpoint by endpoint: for `ctr registry check`. */
#include "image/registry_priv.h"

#include <string.h>

static void add_capabilities(struct str *s, const struct host_config *c)
{
	str_addf(s, "capabilities: %s%s%s\n", c->can_pull ? "pull " : "",
		 c->can_resolve ? "resolve " : "", c->can_push ? "push" : "");
}

static void add_trust(struct str *s, const struct endpoint *ep)
{
	const struct host_config *c = ep->cfg;

	if (strcmp(ep->scheme, "http") == 0) {
		str_add(s, "TLS: none, plain HTTP\n");
		return;
	}
	str_addf(s, "TLS: %s",
		 c->skip_verify ? "certificate not verified (skip_verify)"
				: "verified by the system's authorities");
	for (const char *const *p = (const char *const *)c->ca; p && *p; p++)
		str_addf(s, "%s%s", p == (const char *const *)c->ca ? " and " : ", ", *p);
	str_addc(s, '\n');
	if (c->cert)
		str_addf(s, "client certificate: %s, key %s\n", c->cert, c->key);
}

/* Names only: values may be secrets. */
static void add_headers(struct str *s, const struct host_config *c)
{
	for (const char *const *p = (const char *const *)c->headers; p && *p; p++)
		str_addf(s, "header: %.*s\n", (int)strcspn(*p, ":"), *p);
}

static void add_credential(struct str *s, const struct endpoint *ep)
{
	static const char *const kinds[] = { [TRANSFER_AUTH_NONE] = "none",
					     [TRANSFER_AUTH_PASSWORD] = "user",
					     [TRANSFER_AUTH_REFRESH] = "identity token",
					     [TRANSFER_AUTH_HEADER] = "header" };
	const struct transfer_credentials *c = &ep->credentials;
	bool has_user = c->type == TRANSFER_AUTH_PASSWORD;

	str_addf(s, "credential: %s%s%s", !ep->is_asked ? "not asked for" : kinds[c->type],
		 has_user ? " " : "", has_user ? c->username : "");
	if (ep->is_asked && c->type != TRANSFER_AUTH_NONE && c->source && *c->source)
		str_addf(s, ", from %s", c->source);
	if (ep->authorization)
		str_addf(s, ", sent as %.*s", (int)strcspn(ep->authorization, " "),
			 ep->authorization);
	str_addc(s, '\n');
}

static void add_answer(struct str *s, const struct exchange *x)
{
	static const char *const versions[] = { [CURL_HTTP_VERSION_1_0] = "HTTP/1.0",
						[CURL_HTTP_VERSION_1_1] = "HTTP/1.1",
						[CURL_HTTP_VERSION_2_0] = "HTTP/2" };
	bool is_known = x->version > 0 && x->version <= CURL_HTTP_VERSION_2_0;

	str_addf(s, "answer: %ld, %s from %s\n", x->status,
		 is_known ? versions[x->version] : "HTTP", x->address);
	if (x->limit)
		str_addf(s, "rate limit: %s, remaining %s\n", x->limit,
			 x->remaining ? x->remaining : "?");
}

int registry_check(struct registry *r, const char *repository, registry_check_fn *say, void *arg)
{
	AUTO_FREE char *path =
		repository && *repository ? xasprintf("%s/tags/list?n=1", repository) : xstrdup("");
	int failed = 0;

	for (size_t i = 0; i < r->n_endpoints; i++) {
		AUTO_STR struct str s = STR_INIT(65536);
		struct endpoint *ep = &r->endpoints[i];
		struct request q = { .method = "GET", .path = path, .accept = "application/json" };
		AUTO_FREE char *url = NULL;
		struct err e = { 0 };
		struct exchange x;
		bool final;

		int rc = registry_ask(r, ep, &q, &x, &final, &e);
		url = registry_url(r, ep, &q);
		add_capabilities(&s, ep->cfg);
		add_trust(&s, ep);
		add_headers(&s, ep->cfg);
		add_credential(&s, ep);
		if (rc == 0) {
			add_answer(&s, &x);
			exchange_done(&x);
		} else {
			str_addf(&s, "failed: %s\n", e.msg);
			failed++;
		}
		say(url, str_c(&s), arg);
	}
	return failed;
}
