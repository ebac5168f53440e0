/* The right to ask: challenges, credentials and tokens (RFC 7235, RFC 7617, and the distribution
 * project's token protocol). */
#include "image/registry_priv.h"

#include <string.h>
#include <strings.h>

enum { TOKEN_MAX = 1 << 20 };

/* key="value" pairs of one challenge; unknown ones are passed over. */
static void read_params(const char *p, struct challenge *c)
{
	while (*p) {
		p += strspn(p, " ,\t");
		size_t key = strcspn(p, "= ,\t");
		const char *name = p;
		char value[CHALLENGE_PARAM_MAX];
		size_t n = 0;

		if (p[key] != '=')
			return;
		p += key + 1;
		if (*p == '"') {
			for (p++; *p && *p != '"'; p++) {
				if (*p == '\\' && p[1])
					p++;
				if (n + 1 < sizeof value)
					value[n++] = *p;
			}
			p += *p == '"';
		} else {
			for (; *p && !strchr(", \t", *p); p++)
				if (n + 1 < sizeof value)
					value[n++] = *p;
		}
		value[n] = 0;
		char *to = key == 5 && !strncasecmp(name, "realm", 5)     ? c->realm
			   : key == 7 && !strncasecmp(name, "service", 7) ? c->service
			   : key == 5 && !strncasecmp(name, "scope", 5)   ? c->scope
									  : NULL;
		if (to)
			memcpy(to, value, n + 1);
	}
}

/* Bearer is taken before Basic, as the originals do. */
bool registry_read_challenges(const struct strv *l, struct challenge *c)
{
	*c = (struct challenge){ 0 };
	for (size_t i = 0; i < l->n && !c->is_bearer; i++) {
		if (strncasecmp(l->v[i], "bearer ", 7) == 0) {
			c->is_bearer = true;
			read_params(l->v[i] + 7, c);
		} else if (strncasecmp(l->v[i], "basic", 5) == 0) {
			c->is_basic = true;
		}
	}
	return c->is_bearer || c->is_basic;
}

static char *host_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p ? p + 3 : url;
	return xstrndup(p, strcspn(p, "/?#"));
}

/* The last two labels of a name without its port; an address is itself. */
static const char *parent_domain(char *host)
{
	char *colon = strrchr(host, ':');
	const char *p;
	int dots = 0;

	if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1))
		*colon = 0;
	if (strspn(host, "0123456789.") == strlen(host) || host[0] == '[')
		return host;
	for (p = host + strlen(host); p > host; p--)
		if (p[-1] == '.' && ++dots == 2)
			break;
	return p;
}

/* May the secret of `host` be given to the token server at url?  Only where a registry's own
 * operator can be behind it: the same domain, and no clear text but from a registry that has been
 * allowed to be clear text on the same host. */
static bool may_have_secret(const char *url, const struct endpoint *ep)
{
	AUTO_FREE char *a = host_of(url), *b = xstrdup(ep->cfg->host);

	if (!str_starts(url, "https://") &&
	    (strcmp(ep->scheme, "http") != 0 || strcasecmp(a, b) != 0))
		return false;
	return strcasecmp(a, b) == 0 || strcasecmp(parent_domain(a), parent_domain(b)) == 0;
}

static char *basic(const char *user, const char *secret)
{
	AUTO_FREE char *plain = xasprintf("%s:%s", user, secret);
	size_t n = strlen(plain);
	struct str s = STR_INIT(n * 2 + 16); /* more than it can become */

	str_add(&s, "Basic ");
	str_add_base64(&s, plain, n);
	return str_take(&s);
}

/* Asks the client once an endpoint; the answer stays. */
static int get_credentials(struct registry *r, struct endpoint *ep, const struct strv *challenges,
			   struct err *e)
{
	static const char *const none[] = { NULL };
	int rc = 0;

	if (ep->is_asked || !r->cfg.auth)
		return 0;
	rc = r->cfg.auth(r->arena, ep->cfg->host,
			 challenges->n ? (const char *const *)challenges->v : none,
			 &ep->credentials, r->cfg.arg, e);
	ep->is_asked = rc == 0;
	return rc;
}

static int on_token(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct str *s = arg;

	str_addn(s, bytes, n);
	return s->over ? err_set(e, ERR_INVALID_ARGUMENT, "token answer is too long") : 0;
}

static void add_query(struct str *s, const char *key, const char *value, char sep)
{
	char *coded = curl_easy_escape(NULL, value, 0);

	str_addf(s, "%c%s=%s", sep, key, coded ? coded : "");
	curl_free(coded);
}

/* The scope that a challenge names, unless it asks for more than reading this repository. */
static const char *scope_of(const struct registry *r, const struct challenge *c, char *buf,
			    size_t n)
{
	if (*c->scope || !*r->ref.path)
		return c->scope;
	snprintf(buf, n, "repository:%s:pull", r->ref.path);
	return buf;
}

static int parse_token(const struct str *s, char **ret, struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	const char *token = NULL, *access = NULL;

	if (jsonr_parse(str_c(s), s->len, &root, e) < 0 ||
	    jsonr_string(root, "token", &token, e) < 0 ||
	    jsonr_string(root, "access_token", &access, e) < 0)
		return err_wrap(e, "invalid token answer");
	if (!token || !*token)
		token = access;
	if (!token || !*token || strpbrk(token, "\r\n"))
		return err_set(e, ERR_UNAUTHENTICATED,
			       "authorization server did not include a token in the response");
	*ret = xasprintf("Bearer %s", token);
	return 0;
}

static int fetch_token(struct registry *r, struct endpoint *ep, const struct challenge *c,
		       char **ret, struct err *e)
{
	const struct transfer_credentials *cred = &ep->credentials;
	AUTO_STR struct str url = STR_INIT(16384), form = STR_INIT(65536),
			    body = STR_INIT(TOKEN_MAX);
	AUTO_FREE char *auth = NULL, *realm_host = host_of(c->realm);
	bool has_secret = cred->type != TRANSFER_AUTH_NONE && cred->secret && *cred->secret;
	char own_scope[CHALLENGE_PARAM_MAX];
	const char *scope = scope_of(r, c, own_scope, sizeof own_scope);
	struct exchange x = { .method = "GET", .sink = on_token, .arg = &body };

	if (!str_starts(c->realm, "https://") && !str_starts(c->realm, "http://"))
		return err_set(e, ERR_UNAUTHENTICATED, "no usable realm in the challenge of %s",
			       ep->cfg->host);
	if (!may_have_secret(c->realm, ep)) {
		if (has_secret || !str_starts(c->realm, "https://"))
			return err_set(e, ERR_PERMISSION_DENIED,
				       "registry %s sends us to %s for a token: refused, it is "
				       "another domain or not https",
				       ep->cfg->host, realm_host);
		has_secret = false;
	}
	str_add(&url, c->realm);
	if (has_secret && cred->type == TRANSFER_AUTH_REFRESH) {
		str_add(&form, "grant_type=refresh_token");
		add_query(&form, "service", c->service, '&');
		add_query(&form, "client_id", "containerd-client", '&');
		add_query(&form, "scope", scope, '&');
		add_query(&form, "refresh_token", cred->secret, '&');
		x.post = str_c(&form);
	} else {
		if (*scope)
			add_query(&url, "scope", scope, strchr(c->realm, '?') ? '&' : '?');
		if (*c->service)
			add_query(&url, "service", c->service,
				  strchr(str_c(&url), '?') ? '&' : '?');
		if (has_secret)
			auth = basic(cred->username ? cred->username : "", cred->secret);
	}
	x.url = str_c(&url);
	x.authorization = auth;
	x.tls = strcasecmp(realm_host, ep->cfg->host) == 0 ? ep : NULL;
	int rc = registry_http(r, &x, e);
	if (rc == 0 && (x.status < 200 || x.status > 299))
		rc = err_set(e, x.status == 401 ? ERR_UNAUTHENTICATED : ERR_PERMISSION_DENIED,
			     "failed to fetch %s token from %s: status %ld",
			     has_secret ? "oauth" : "anonymous", realm_host, x.status);
	if (rc == 0)
		rc = parse_token(&body, ret, e);
	exchange_done(&x);
	return rc < 0 ? err_wrap(e, "failed to authorize") : 0;
}

static int make_authorization(struct registry *r, struct endpoint *ep,
			      const struct strv *challenges, char **ret, struct err *e)
{
	const struct transfer_credentials *cred = &ep->credentials;
	struct challenge c;

	if (!registry_read_challenges(challenges, &c))
		return err_set(e, ERR_UNAUTHENTICATED, "%s asks for no authorization we know",
			       ep->cfg->host);
	if (get_credentials(r, ep, challenges, e) < 0)
		return -1;
	if (cred->type == TRANSFER_AUTH_HEADER && cred->secret && *cred->secret &&
	    !strpbrk(cred->secret, "\r\n")) {
		*ret = xstrdup(cred->secret);
		return 0;
	}
	if (c.is_bearer)
		return fetch_token(r, ep, &c, ret, e);
	if (cred->type != TRANSFER_AUTH_PASSWORD || !cred->secret)
		return err_set(e, ERR_UNAUTHENTICATED,
			       "%s wants a user name and a password: no basic auth credentials",
			       ep->cfg->host);
	*ret = basic(cred->username ? cred->username : "", cred->secret);
	return 0;
}

int registry_authorize(struct registry *r, struct endpoint *ep, const struct strv *challenges,
		       struct err *e)
{
	AUTO_FREE char *fresh = NULL;

	pthread_mutex_lock(&r->auth_lock);
	int rc = make_authorization(r, ep, challenges, &fresh, e);
	if (rc == 0) {
		pthread_mutex_lock(&r->lock);
		free(ep->authorization);
		ep->authorization = TAKE_PTR(fresh);
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&r->auth_lock);
	return rc;
}

char *registry_authorization(struct registry *r, const struct endpoint *ep)
{
	pthread_mutex_lock(&r->lock);
	char *s = xstrdup(ep->authorization);
	pthread_mutex_unlock(&r->lock);
	return s;
}
