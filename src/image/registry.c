#include "image/registry.h"

#include "base/ident.h"
#include "base/num.h"
#include "base/sha256.h"
#include "image/registry_priv.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum { TRIES = 5, MAX_WAIT_MS = 10000, CA_MAX = 4 << 20 };

const char registry_document_types[] = MEDIA_DOCKER_MANIFEST
	", " MEDIA_DOCKER_LIST ", " MEDIA_OCI_MANIFEST ", " MEDIA_OCI_INDEX ", */*";

/* --- opening ------------------------------------------------------------------------------------
 */

/* curl's own list is replaced by what it is given, so the system's comes first. */
static int load_ca(const struct host_config *cfg, struct curl_blob *ret, struct err *e)
{
	static const char system_bundle[] = "/etc/ssl/certs/ca-certificates.crt";
	struct str all = STR_INIT(CA_MAX);
	AUTO_FREE char *text = NULL;
	size_t n;

	if (!cfg->ca || !cfg->ca[0])
		return 0;
	if (file_read(AT_FDCWD, system_bundle, CA_MAX, &text, &n) == 0)
		str_addn(&all, text, n);
	for (const char *const *p = (const char *const *)cfg->ca; *p; p++) {
		AUTO_FREE char *one = NULL;
		int r = file_read(AT_FDCWD, *p, CA_MAX, &one, &n);

		if (r < 0) {
			str_done(&all);
			return err_sys(e, -r, "unable to read CA cert \"%s\"", *p);
		}
		str_addc(&all, '\n');
		str_addn(&all, one, n);
	}
	*ret = (struct curl_blob){ .len = all.len, .flags = CURL_BLOB_NOCOPY };
	ret->data = str_take(&all);
	return 0;
}

/* What the caller said of the registry itself. */
static void set_own_host(struct registry *r, struct host_config *h)
{
	const struct registry_config *c = &r->cfg;

	h->skip_verify |= c->skip_verify;
	if (c->ca && *c->ca) {
		h->ca = arena_array(r->arena, 2, sizeof *h->ca);
		h->ca[0] = c->ca;
	}
	if (c->cert && *c->cert) {
		h->cert = c->cert;
		h->key = c->key && *c->key ? c->key : c->cert; /* one file may hold both */
	}
}

static int open_endpoints(struct registry *r, struct err *e)
{
	struct host_config *v;
	size_t n;

	if (hosts_load(r->cfg.hosts_dirs, r->ref.domain, r->cfg.default_scheme, r->arena, &v, &n,
		       e) < 0)
		return err_wrap(e, "failed to read registry configuration");
	r->endpoints = arena_array(r->arena, n, sizeof *r->endpoints);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 == n)
			set_own_host(r, &v[i]);
		r->endpoints[i].cfg = &v[i];
		r->endpoints[i].scheme = v[i].scheme;
		r->n_endpoints = i + 1;
		if (load_ca(&v[i], &r->endpoints[i].ca, e) < 0)
			return -1;
	}
	return 0;
}

int registry_open(const struct reference *ref, const struct registry_config *cfg,
		  struct registry **ret, struct err *e)
{
	struct registry *r = NEW(struct registry);

	r->arena = arena_new();
	r->cfg = *cfg;
	r->ref = (struct reference){ xstrdup(ref->domain), xstrdup(ref->path), xstrdup(ref->tag),
				     xstrdup(ref->digest) };
	r->source = xstrndup(ref->domain, strcspn(ref->domain, ":"));
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->auth_lock, NULL);
	if (open_endpoints(r, e) < 0) {
		registry_close(r);
		return -1;
	}
	*ret = r;
	return 0;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_idle; i++)
		curl_easy_cleanup(r->idle[i]);
	free(r->idle);
	for (size_t i = 0; i < r->n_endpoints; i++) {
		free(r->endpoints[i].authorization);
		free(r->endpoints[i].ca.data);
	}
	free(r->source);
	reference_done(&r->ref);
	pthread_mutex_destroy(&r->auth_lock);
	pthread_mutex_destroy(&r->lock);
	arena_free(r->arena);
	free(r);
}

const char *registry_source(const struct registry *r)
{
	return r->source;
}

/* --- one request, with its second chances -------------------------------------------------------
 */

static void sleep_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* What the server asked for, or doubling from 200 ms; bounded. */
static uint64_t wait_of(const struct exchange *x, int try)
{
	uint64_t seconds, ms = 200u << try;

	if (x->retry_after && num_u64(x->retry_after, &seconds) < 0) { /* or a date */
		time_t at = curl_getdate(x->retry_after, NULL), now = time(NULL);

		if (at > now)
			ms = (uint64_t)(at - now) * 1000;
	} else if (x->retry_after)
		ms = seconds < MAX_WAIT_MS / 1000 ? seconds * 1000 : MAX_WAIT_MS;
	return ms < MAX_WAIT_MS ? ms : MAX_WAIT_MS;
}

static int count_sink(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct request *q = arg;

	if (q->sink(q->arg, bytes, n, e) < 0)
		return -1;
	q->offset += n;
	return 0;
}

char *registry_url(const struct registry *r, const struct endpoint *ep, const struct request *q)
{
	/* A mirror may serve several registries: it is told whose name this is. */
	const char *own =
		strcmp(r->ref.domain, "docker.io") == 0 ? "registry-1.docker.io" : r->ref.domain;

	if (q->url)
		return xstrdup(q->url);
	if (strcmp(ep->cfg->host, own) == 0)
		return xasprintf("%s://%s%s/%s", ep->scheme, ep->cfg->host, ep->cfg->path, q->path);
	return xasprintf("%s://%s%s/%s%cns=%s", ep->scheme, ep->cfg->host, ep->cfg->path, q->path,
			 strchr(q->path, '?') ? '&' : '?', r->ref.domain);
}

static bool is_worth_a_retry(const struct exchange *x)
{
	return x->status == 408 || x->status == 429 || x->status >= 500;
}

static int try_once(struct registry *r, struct endpoint *ep, struct request *q, struct exchange *x,
		    struct err *e)
{
	AUTO_FREE char *auth = registry_authorization(r, ep), *url = registry_url(r, ep, q);
	AUTO_FREE char *base = xasprintf("%s://%s/", ep->scheme, ep->cfg->host);
	/* Where to upload may be another host, which is nobody's to trust with secrets. */
	bool is_own = registry_same_origin(url, base);

	*x = (struct exchange){ .method = q->method,
				.accept = q->accept,
				.authorization = is_own ? auth : NULL,
				.headers = is_own ? r->cfg.headers : NULL,
				.headers2 = is_own ? (const char *const *)ep->cfg->headers : NULL,
				.offset = q->offset,
				.upload = q->upload,
				.tls = is_own ? ep : NULL,
				.sink = q->sink ? count_sink : NULL,
				.arg = q };
	x->url = url;
	int rc = registry_http(r, x, e);
	x->is_foreign |= !is_own;
	if (rc == 0 && (x->status < 200 || x->status > 299))
		rc = registry_status_error(r, x, e);
	x->url = NULL; /* goes with this frame */
	x->authorization = NULL;
	return rc;
}

int registry_ask(struct registry *r, struct endpoint *ep, struct request *q, struct exchange *x,
		 bool *ret_final, struct err *e)
{
	bool authorized = false;
	uint64_t before = q->offset;

	for (int try = 0;;) {
		struct err now = { 0 };

		if (try_once(r, ep, q, x, &now) == 0)
			return 0;
		bool retry = is_worth_a_retry(x) || (x->status < 300 && !x->sink_failed &&
						     !x->is_untrusted && !x->is_stalled);
		uint64_t wait = wait_of(x, try);
		struct strv challenges = x->challenges;
		/* storage behind the registry must not ask for the registry's secret */
		bool wants_auth = x->status == 401 && !authorized && !x->is_foreign;
		bool to_http = x->tls_failed && ep->cfg->may_fall_back && ep->scheme[4] == 's';

		*ret_final = x->sink_failed;
		x->challenges = (struct strv){ 0 };
		exchange_done(x);
		if (wants_auth) {
			authorized = true;
			int rc = registry_authorize(r, ep, &challenges, e);
			strv_done(&challenges);
			if (rc < 0)
				return -1;
			continue;
		}
		strv_done(&challenges);
		if (to_http) {
			ep->scheme = "http";
			continue;
		}
		if (q->offset > before) { /* it moved: that earns fresh tries */
			before = q->offset;
			try = 0;
		}
		if (!retry || ++try == TRIES)
			return err_copy(e, &now);
		sleep_ms(wait);
	}
}

int registry_ask_any(struct registry *r, struct request *q, bool resolve, struct exchange *x,
		     struct err *e)
{
	struct err first = { 0 };

	for (size_t i = 0; i < r->n_endpoints; i++) {
		struct endpoint *ep = &r->endpoints[i];
		struct err now = { 0 };
		bool final = false;

		if (resolve ? !ep->cfg->can_resolve : !ep->cfg->can_pull)
			continue;
		if (registry_ask(r, ep, q, x, &final, &now) == 0)
			return 0;
		/* The first failure is told, unless it only says that a mirror has no such thing.
		 */
		if (!first.code || (first.code == ERR_NOT_FOUND && now.code != ERR_NOT_FOUND))
			first = now;
		if (final)
			break;
	}
	if (!first.code)
		return err_set(e, ERR_NOT_FOUND, "no host of %s has the capability to %s",
			       r->ref.domain, resolve ? "resolve" : "pull");
	return err_copy(e, &first);
}

/* --- what callers want
 * ---------------------------------------------------------------------------- */

static int on_document(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct str *s = arg;

	str_addn(s, bytes, n);
	if (s->over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "document is larger than %zu bytes",
			       s->max);
	return 0;
}

/* A Content-Type without its parameters. */
static const char *media_of(struct arena *a, const char *content_type)
{
	return content_type ? arena_strndup(a, content_type, strcspn(content_type, "; \t")) : "";
}

/* HEAD told too little: the document itself says it. */
static int resolve_by_get(struct registry *r, struct arena *a, struct request *q, const char *want,
			  struct oci_descriptor *ret, struct err *e)
{
	AUTO_STR struct str body = STR_INIT(IMAGE_DOC_MAX);
	char digest[DIGEST_MAX + 1];
	struct exchange x;

	q->method = "GET";
	q->sink = on_document;
	q->arg = &body;
	int rc = registry_ask_any(r, q, true, &x, e);

	q->arg = NULL;
	if (rc < 0)
		return -1;
	ret->media_type = media_of(a, x.content_type);
	exchange_done(&x);
	digest_like(want ?: "", str_c(&body), body.len, digest);
	ret->digest = arena_strdup(a, digest);
	ret->size = body.len;
	return 0;
}

static int resolve(struct registry *r, struct arena *a, const char *object, const char *want,
		   struct oci_descriptor *ret, struct err *e)
{
	struct request q = { .method = "HEAD", .accept = registry_document_types };
	AUTO_FREE char *path = xasprintf("%s/manifests/%s", r->ref.path, object);
	struct exchange x;
	int rc = 0;

	*ret = (struct oci_descriptor){ 0 };
	q.path = path;
	if (registry_ask_any(r, &q, true, &x, e) < 0)
		return err_wrap(e, "failed to resolve reference \"%s/%s%s%s\"", r->ref.domain,
				r->ref.path, want ? "@" : ":", object);
	ret->media_type = media_of(a, x.content_type);
	ret->digest = x.digest ? arena_strdup(a, x.digest) : "";
	ret->size = x.length > 0 ? (uint64_t)x.length : 0;
	bool complete = digest_is_valid(ret->digest) && ret->size && ret->size <= IMAGE_DOC_MAX &&
			(media_is_index(ret->media_type) || media_is_manifest(ret->media_type));
	exchange_done(&x);
	if (!complete)
		rc = resolve_by_get(r, a, &q, want, ret, e);
	if (rc == 0 && want && strcmp(want, ret->digest) != 0)
		rc = err_set(e, ERR_DATA_LOSS, "asked for %s, the registry answered %s", want,
			     ret->digest);
	return rc < 0 ? err_wrap(e, "failed to resolve reference") : 0;
}

int registry_resolve(struct registry *r, struct arena *a, struct oci_descriptor *ret, struct err *e)
{
	return resolve(r, a, r->ref.digest ? r->ref.digest : r->ref.tag, r->ref.digest, ret, e);
}

int registry_resolve_tag(struct registry *r, struct arena *a, const char *tag,
			 struct oci_descriptor *ret, struct err *e)
{
	return resolve(r, a, tag, NULL, ret, e);
}

int registry_get_document(struct registry *r, struct arena *a, const struct oci_descriptor *d,
			  char **ret, size_t *ret_n, struct err *e)
{
	bool is_manifest = media_is_index(d->media_type) || media_is_manifest(d->media_type);
	AUTO_FREE char *path =
		xasprintf("%s/%s/%s", r->ref.path, is_manifest ? "manifests" : "blobs", d->digest);
	AUTO_STR struct str body = STR_INIT(d->size < IMAGE_DOC_MAX ? d->size : IMAGE_DOC_MAX);
	struct request q = { .method = "GET",
			     .accept = is_manifest ? registry_document_types : "*/*",
			     .path = path,
			     .sink = on_document,
			     .arg = &body };
	char digest[DIGEST_MAX + 1];
	struct exchange x;

	if (d->size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "document %s has %llu bytes, at most %d",
			       d->digest, (unsigned long long)d->size, IMAGE_DOC_MAX);
	if (registry_ask_any(r, &q, false, &x, e) < 0)
		return err_wrap(e, "failed to fetch %s", d->digest);
	exchange_done(&x);
	digest_like(d->digest, str_c(&body), body.len, digest);
	if (body.len != d->size || strcmp(digest, d->digest) != 0)
		return err_set(e, ERR_DATA_LOSS,
			       "unexpected document: got %s with %zu bytes, expected %s with %llu",
			       digest, body.len, d->digest, (unsigned long long)d->size);
	*ret_n = body.len;
	*ret = arena_memdup(a, str_c(&body), body.len + 1);
	return 0;
}

/* Never more than the descriptor promised. */
struct bounded {
	registry_sink_fn *sink;
	void *arg;
	uint64_t left;
	const char *digest;
};

static int bounded_sink(void *arg, const void *bytes, size_t n, struct err *e)
{
	struct bounded *b = arg;

	if (n > b->left)
		return err_set(e, ERR_DATA_LOSS, "%s is longer than its descriptor says",
			       b->digest);
	b->left -= n;
	return b->sink(b->arg, bytes, n, e);
}

int registry_get_blob(struct registry *r, const struct oci_descriptor *d, uint64_t offset,
		      registry_sink_fn *sink, void *arg, struct err *e)
{
	struct bounded b = { sink, arg, d->size - offset, d->digest };
	AUTO_FREE char *path = xasprintf("%s/blobs/%s", r->ref.path, d->digest);
	struct request q = {
		.method = "GET", .path = path, .offset = offset, .sink = bounded_sink, .arg = &b
	};

	if (offset > d->size || d->size > IMAGE_BLOB_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "blob %s: offset or size out of range",
			       d->digest);
	/* A body that ends early without a Content-Length looks complete: the descriptor knows. */
	for (int try = 0; b.left; try++) {
		uint64_t before = b.left;
		struct exchange x;

		if (registry_ask_any(r, &q, false, &x, e) < 0)
			return err_wrap(e, "failed to fetch %s", d->digest);
		exchange_done(&x);
		if (b.left == before && try == TRIES)
			return err_set(e, ERR_UNAVAILABLE,
				       "failed to fetch %s: %llu bytes are missing", d->digest,
				       (unsigned long long)b.left);
	}
	return 0;
}
