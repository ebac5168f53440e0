#include "cri/image_read.h"

#include "cri/private.h"
#include "os/fd.h"
#include "store/content.h"

#include <string.h>

int image_read_blob(const struct call *call, struct arena *a, const char *digest, const char **ret,
		    size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;
	char *buf;

	if (content_open(call->engine->store, call->ns, digest, &fd, &size, e) < 0)
		return -1;
	if (size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "content %s is larger than %d MiB",
			       digest, IMAGE_DOC_MAX >> 20);
	buf = arena_alloc(a, (size_t)size + 1);
	ssize_t n = fd_read_all(fd, buf, (size_t)size);

	if (n < 0)
		return err_sys(e, (int)-n, "read %s", digest);
	*ret = buf;
	*ret_n = (size_t)n;
	return 0;
}

static int read_doc(const struct call *call, struct arena *a, const struct oci_descriptor *d,
		    struct image_doc *ret, struct err *e)
{
	const char *bytes;
	size_t n;

	if (image_read_blob(call, a, d->digest, &bytes, &n, e) < 0)
		return -1;
	if (image_doc_parse(a, d->media_type, bytes, n, ret, e) < 0)
		return err_wrap(e, "content %s", d->digest);
	return 0;
}

int image_read_manifest(const struct call *call, struct arena *a,
			const struct oci_descriptor *target, struct image_doc *ret,
			uint64_t *ret_size, struct err *e)
{
	const struct platform host = platform_host();
	const struct oci_descriptor *d = target;

	*ret_size = 0;
	for (int depth = 0; d && depth <= IMAGE_INDEX_DEPTH; depth++) {
		*ret_size += d->size;
		if (read_doc(call, a, d, ret, e) < 0)
			return -1;
		if (ret->kind == IMAGE_MANIFEST)
			break;
		d = image_doc_pick(ret, &host);
	}
	if (!d || ret->kind != IMAGE_MANIFEST)
		return err_set(e, ERR_NOT_FOUND, "no match for this machine's platform in %s",
			       target->digest);
	*ret_size += ret->config.size;
	for (size_t i = 0; i < ret->n_layers; i++)
		*ret_size += ret->layers[i].size;
	return 0;
}

/* --- what is known already --- */

/* A target has one place: another one that belongs there takes it. */
enum { CACHE_SLOTS = 1024 };

struct slot {
	char digest[DIGEST_MAX + 1]; /* of the target; "": free */
	struct image_brief brief;
};

struct image_cache {
	pthread_mutex_t lock;
	struct slot slots[CACHE_SLOTS];
};

struct image_cache *image_cache_new(void)
{
	struct image_cache *c = NEW(struct image_cache);

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void image_cache_free(struct image_cache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct slot *slot_of(struct image_cache *c, const char *digest)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (const char *p = digest; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
	return &c->slots[(hash ^ hash >> 32) % CACHE_SLOTS];
}

static bool recall(struct image_cache *c, const char *digest, struct image_brief *ret)
{
	const struct slot *s = slot_of(c, digest);

	pthread_mutex_lock(&c->lock);
	bool is_known = strcmp(s->digest, digest) == 0;

	if (is_known)
		*ret = s->brief;
	pthread_mutex_unlock(&c->lock);
	return is_known;
}

static void remember(struct image_cache *c, const char *digest, const struct image_brief *brief)
{
	struct slot *s = slot_of(c, digest);

	pthread_mutex_lock(&c->lock);
	snprintf(s->digest, sizeof s->digest, "%s", digest);
	s->brief = *brief;
	pthread_mutex_unlock(&c->lock);
}

static bool is_here(const struct call *call, struct arena *a, const char *digest)
{
	struct content_info info;
	struct err gone = { 0 };

	return content_info(call->engine->store, call->ns, a, digest, &info, &gone) == 0;
}

/* The image is there without its config, too. */
static void read_user(const struct call *call, struct arena *a, struct image_brief *ret)
{
	struct image_config config;
	struct err broken = { 0 };
	const char *bytes;
	size_t n;

	if (image_read_blob(call, a, ret->id, &bytes, &n, &broken) < 0 ||
	    image_config_parse(a, bytes, n, &config, &broken) < 0)
		return;
	snprintf(ret->user, sizeof ret->user, "%s", config.user);
	ret->has_user = true;
}

int image_read_brief(const struct call *call, const struct oci_descriptor *target,
		     struct image_brief *ret, struct err *e)
{
	/* its own: a list of many images holds the documents of one at a time */
	AUTO_ARENA struct arena *a = arena_new();
	struct image_cache *cache = call->engine->cri->image_cache;
	struct image_doc doc;

	if (recall(cache, target->digest, ret) && is_here(call, a, target->digest) &&
	    is_here(call, a, ret->id))
		return 0;
	*ret = (struct image_brief){ 0 };
	if (image_read_manifest(call, a, target, &doc, &ret->size, e) < 0)
		return -1;
	snprintf(ret->id, sizeof ret->id, "%s", doc.config.digest);
	read_user(call, a, ret);
	if (ret->has_user)
		remember(cache, target->digest, ret);
	return 0;
}
