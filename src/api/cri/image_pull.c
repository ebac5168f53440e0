/* PullImage: the registry client's worker, and three names for what it brought. */
#include "api/containerd/transfer_events.h"
#include "api/containerd/transfer_image.h"
#include "api/containerd/worker_run.h"
#include "api/cri/image.h"
#include "base/base64.h"
#include "base/sha256.h"
#include "base/timefmt.h"
#include "cri/cri.h"
#include "image/hosts.h"
#include "oci/reference.h"
#include "store/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { LEASE_HOURS = 24, LOOK_MS = 100, CREDENTIALS_MAX = 1 << 20 };

/* --- one pull for all who want the same --- */

struct flight {
	struct flight *next;
	const char *key; /* the leader's */
	unsigned waiting;
	bool is_done;
	char id[DIGEST_MAX + 1];
	struct err e;
};

struct cri_pulls {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct flight *flights;
};

struct cri_pulls *cri_pulls_new(void)
{
	struct cri_pulls *p = NEW(struct cri_pulls);

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	return p;
}

void cri_pulls_free(struct cri_pulls *p)
{
	if (!p)
		return;
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Under p->lock.  A flight that others wait for is on the stack of its leader, who waits for them.
 */
static void wait_a_little(struct cri_pulls *p)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_cond_timedwait(&p->changed, &p->lock, &until); /* then look at the cancel */
}

/* 1: *ret is another one's result.  0: mine is the one that others wait for now.  -1: cancelled. */
static int join(struct cri_pulls *p, struct flight *mine, struct cancel *c,
		char ret[DIGEST_MAX + 1], struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct flight *f = p->flights;

		while (f && strcmp(f->key, mine->key) != 0)
			f = f->next;
		if (!f) {
			mine->next = p->flights;
			p->flights = mine;
			break;
		}
		f->waiting++;
		while (!f->is_done && !cancel_is_set(c))
			wait_a_little(p);
		/* Who led it may have left; the next one tries then. */
		bool is_void = f->is_done && f->e.code == ERR_CANCELLED;
		if (f->is_done && !f->e.code)
			memcpy(ret, f->id, sizeof f->id);
		r = !f->is_done ? cancel_check(c, e)
		    : f->e.code ? is_void ? 0 : err_copy(e, &f->e)
				: 1;
		f->waiting--;
		pthread_cond_broadcast(&p->changed);
		if (!is_void)
			break;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void land(struct cri_pulls *p, struct flight *mine)
{
	pthread_mutex_lock(&p->lock);
	for (struct flight **at = &p->flights; *at; at = &(*at)->next)
		if (*at == mine) {
			*at = mine->next;
			break;
		}
	mine->is_done = true;
	pthread_cond_broadcast(&p->changed);
	while (mine->waiting)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* --- credentials --- */

struct pull {
	struct call call; /* first: of the hooks that publish */
	struct transfer_job job;
	const Runtime__V1__AuthConfig *auth;
	const char *domain; /* of the reference */
};

/* "USER:PASSWORD", packed. */
static int take_packed(struct arena *a, const char *packed, struct transfer_credentials *ret,
		       struct err *e)
{
	size_t n;
	AUTO_FREE char *plain = base64_decode(packed, CREDENTIALS_MAX, &n);
	char *text = plain ? arena_strdup(a, plain) : NULL;
	char *colon = text ? strchr(text, ':') : NULL;

	if (!colon)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid decoded auth");
	*colon = 0;
	*ret = (struct transfer_credentials){ TRANSFER_AUTH_PASSWORD, text, colon + 1 };
	return 0;
}

/* "https://HOST/…" or a bare host: is it this one? */
static bool is_for(const char *server, const char *host)
{
	const char *p = strstr(server, "://");
	size_t n;

	p = p ? p + 3 : server;
	n = strcspn(p, "/?#");
	if (strlen(host) == n && strncmp(p, host, n) == 0)
		return true;
	/* docker's own names for its registry */
	return (n == strlen("index.docker.io") && !strncmp(p, "index.docker.io", n)) &&
	       (!strcmp(host, "registry-1.docker.io") || !strcmp(host, "docker.io"));
}

static int credentials(const Runtime__V1__AuthConfig *q, struct arena *a, const char *host,
		       struct transfer_credentials *ret, struct err *e)
{
	*ret = (struct transfer_credentials){ TRANSFER_AUTH_NONE, "", "" };
	if (!q || (*q->server_address && !is_for(q->server_address, host)))
		return 0;
	if (*q->username)
		*ret = (struct transfer_credentials){ TRANSFER_AUTH_PASSWORD, q->username,
						      q->password };
	else if (*q->identity_token)
		*ret = (struct transfer_credentials){ TRANSFER_AUTH_REFRESH, "",
						      q->identity_token };
	else if (*q->auth)
		return take_packed(a, q->auth, ret, e);
	else if (*q->registry_token)
		*ret = (struct transfer_credentials){
			TRANSFER_AUTH_HEADER, "", arena_printf(a, "Bearer %s", q->registry_token)
		};
	return 0;
}

/* kubelet's credentials are for the registry that the reference names; a mirror gets them only
 * where they are said to be its own. */
static int on_auth(struct arena *a, const char *host, UNUSED const char *const *challenges,
		   struct transfer_credentials *ret, void *arg, struct err *e)
{
	const struct pull *p = arg;
	bool is_own = strcmp(host, p->domain) == 0 || (strcmp(p->domain, "docker.io") == 0 &&
						       strcmp(host, "registry-1.docker.io") == 0);

	*ret = (struct transfer_credentials){ TRANSFER_AUTH_NONE, "", "" };
	if (!is_own && !(p->auth && *p->auth->server_address))
		return 0;
	return credentials(p->auth, a, host, ret, e);
}

/* --- the pull --- */

static int make_lease(struct pull *p, struct err *e)
{
	struct lease_record in = { 0 }, out;
	char expire[TIMEFMT_MAX];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	in.id = arena_printf(p->call.arena, "cri-pull-%" PRIu64 "-%p",
			     (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, (void *)p);
	now.tv_sec += LEASE_HOURS * 3600; /* what a crash leaves goes by itself */
	labels_set(p->call.arena, &in.labels, "containerd.io/gc.expire",
		   timefmt_rfc3339(now, expire));
	if (lease_create(p->call.engine->store, p->call.ns, p->call.arena, &in, &out, e) < 0)
		return err_wrap(e, "failed to create lease");
	p->job.lease = out.id;
	return 0;
}

/* The tag, the digest and the id, in an order in which the last one completes it. */
static int store_names(struct pull *p, const struct reference *ref,
		       const struct transfer_result *result, const char **ret_id, struct err *e)
{
	const struct oci_descriptor *target = &result->images[0].target;
	struct arena *a = p->call.arena;
	struct labels labels = { 0 };

	labels_set(a, &labels, CRI_IMAGE_LABEL, "managed");
	if (cri_image_id(&p->call, target, ret_id, e) < 0)
		return -1;
	if (transfer_put_image(&p->call, *ret_id, target, &labels, e) < 0)
		return err_wrap(e, "failed to create image reference \"%s\"", *ret_id);

	const char *tag = ref->tag && !ref->digest
				  ? arena_printf(a, "%s/%s:%s", ref->domain, ref->path, ref->tag)
				  : NULL;
	const char *digest = arena_printf(a, "%s/%s@%s", ref->domain, ref->path, target->digest);

	if (tag && transfer_put_image(&p->call, tag, target, &labels, e) < 0)
		return err_wrap(e, "failed to create image reference \"%s\"", tag);
	if (transfer_put_image(&p->call, digest, target, &labels, e) < 0)
		return err_wrap(e, "failed to create image reference \"%s\"", digest);
	return 0;
}

static int run(struct pull *p, const struct reference *ref, const char *reference,
	       const char **ret_id, struct err *e)
{
	const struct config *cfg = p->call.engine->cfg;
	struct transfer_unpack unpack = { .snapshotter = cfg->snapshotter };
	struct transfer_hooks hooks = { .arg = p, .auth = on_auth };
	struct transfer_result result = { 0 };
	struct platform host = { 0 };
	struct err left = { 0 };

	transfer_publish(&hooks);
	p->job = (struct transfer_job){
		.kind = TRANSFER_PULL,
		.hooks = &hooks,
		.pull = { .reference = reference,
			  .hosts_dirs = hosts_split_dirs(p->call.arena, cfg->registry_config ?: ""),
			  .default_scheme = "",
			  .max_downloads = cfg->max_downloads,
			  .has_auth = p->auth,
			  .stall_seconds = (unsigned)(cfg->pull_progress_timeout / 1000000000u) },
		.platforms = &host,
		.n_platforms = 1,
		.unpacks = &unpack,
		.n_unpacks = 1,
	};
	if (make_lease(p, e) < 0)
		return -1;
	int r = worker_run(&p->call, &p->job, &result, e);

	if (r == 0 && !result.n_images)
		r = err_set(e, ERR_NOT_FOUND, "the registry sent no image");
	if (r == 0)
		r = store_names(p, ref, &result, ret_id, e);
	/* Expires by itself where this fails. */
	(void)lease_delete(p->call.engine->store, p->call.ns, p->job.lease, &left);
	return r;
}

/* What makes two pulls the same: the image, and who asks for it. */
static void key_of(const char *reference, const Runtime__V1__AuthConfig *q,
		   char ret[SHA256_HEX + 1])
{
	const char *const parts[] = { reference,
				      q ? q->username : "",
				      q ? q->password : "",
				      q ? q->auth : "",
				      q ? q->server_address : "",
				      q ? q->identity_token : "",
				      q ? q->registry_token : "" };
	struct sha256 h;

	sha256_init(&h);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		sha256_add(&h, parts[i], strlen(parts[i]) + 1);
	sha256_hex(&h, ret);
}

int cri_pull_image(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Runtime__V1__PullImageRequest *q = req;
	Runtime__V1__PullImageResponse *answer = rsp;
	struct pull p = { .call = { .engine = api_engine(c),
				    .ns = CRI_NAMESPACE,
				    .arena = c->arena,
				    .deadline = c->deadline,
				    .cancel = c->cancel },
			  .auth = q->auth };
	const char *name = q->image ? q->image->image : "", *id = NULL;
	AUTO_REFERENCE struct reference ref = { 0 };
	char key[SHA256_HEX + 1], got[DIGEST_MAX + 1] = "";
	struct transfer_credentials check;

	if (!*name || reference_parse(name, &ref, e) < 0)
		return e->code ? err_wrap(e, "failed to parse image reference \"%s\"", name)
			       : err_set(e, ERR_INVALID_ARGUMENT,
					 "failed to parse image reference \"\"");
	reference_add_default_tag(&ref);
	AUTO_FREE char *text = reference_text(&ref);
	p.domain = ref.domain;
	/* Before a registry asks: what cannot be read is told even where nobody would ask. */
	if (q->auth && credentials(q->auth, c->arena, ref.domain, &check, e) < 0)
		return err_wrap(e, "failed to parse auth config");
	key_of(text, q->auth, key);

	struct flight mine = { .key = key };
	int r = join(p.call.engine->cri_pulls, &mine, c->cancel, got, e);

	if (r == 0) {
		r = run(&p, &ref, text, &id, e);
		if (r == 0)
			snprintf(mine.id, sizeof mine.id, "%s", id);
		else
			mine.e = *e;
		land(p.call.engine->cri_pulls, &mine);
	} else if (r > 0) {
		id = arena_strdup(c->arena, got);
	}
	if (r < 0)
		return err_wrap(e, "failed to pull and unpack image \"%s\"", text);
	answer->image_ref = (char *)id;
	return 0;
}
