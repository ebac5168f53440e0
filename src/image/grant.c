/* Which snapshots a worker may commit: those that a config of this store says its layers are.
 *
 * What is read here has the digest that is asked for, whoever has sent it; who chooses that digest
 * is the worker.  So one that was taken over can tell us wrong bytes under the names of the image
 * which it was sent for, and of no other where images are verified.  This bounds what it says, not
 * what a process with root's rights does to files by itself (SECURITY.md). */
#include "image/serve.h"

#include "base/sha256.h"
#include "os/fd.h"
#include "store/content.h"

#include <string.h>

enum { DOCUMENTS_MAX = 4096 };

static int read_document(struct session *s, struct arena *a, const char *digest, char **ret,
			 size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = -1;
	char got[DIGEST_SHA256 + 1];
	struct sha256 sum;
	uint64_t size;
	ssize_t n;

	if (content_open(s->job->store, s->job->ns, digest, &fd, &size, e) < 0)
		return -1;
	if (size > IMAGE_DOC_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "document %s has %llu bytes, at most %d",
			       digest, (unsigned long long)size, IMAGE_DOC_MAX);
	*ret = arena_alloc(a, (size_t)size + 1);
	n = fd_read_all(fd, *ret, (size_t)size);
	if (n < 0)
		return err_sys(e, (int)-n, "read %s", digest);
	*ret_n = (size_t)n;
	sha256_init(&sum);
	sha256_add(&sum, *ret, *ret_n);
	sha256_digest(&sum, got);
	return strcmp(got, digest) == 0
		       ? 0
		       : err_set(e, ERR_DATA_LOSS, "content %s has the digest %s", digest, got);
}

static int read_doc(struct session *s, struct arena *a, const char *digest, struct image_doc *ret,
		    struct err *e)
{
	char *text;
	size_t n;

	if (read_document(s, a, digest, &text, &n, e) < 0)
		return -1;
	return image_doc_parse(a, "", text, n, ret, e);
}

/* --- below what was verified ------------------------------------------------------------------ */

struct search {
	struct session *s;
	struct arena *a;
	const char *wanted;
	struct strv seen;
};

static int find_below(struct search *w, const char *digest, int depth, struct err *e);

/* Of an index that was fetched in part some entries are not there. */
static int find_in_index(struct search *w, const struct image_doc *doc, int depth, struct err *e)
{
	for (size_t i = 0; i < doc->n_manifests; i++)
		if (strcmp(doc->manifests[i].digest, w->wanted) == 0)
			return 1;
	for (size_t i = 0; i < doc->n_manifests; i++) {
		struct err why = { 0 };
		int r;

		if (!media_is_index(doc->manifests[i].media_type))
			continue;
		r = find_below(w, doc->manifests[i].digest, depth + 1, &why);
		if (r > 0)
			return 1;
		if (r < 0 && why.code != ERR_NOT_FOUND)
			return err_copy(e, &why);
	}
	return 0;
}

static int find_below(struct search *w, const char *digest, int depth, struct err *e)
{
	struct image_doc doc;

	if (strcmp(digest, w->wanted) == 0)
		return 1;
	if (depth == IMAGE_INDEX_DEPTH || strv_has(&w->seen, digest))
		return 0;
	if (w->seen.n == DOCUMENTS_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "the image has more than %d documents",
			       DOCUMENTS_MAX);
	strv_add(&w->seen, digest);
	if (read_doc(w->s, w->a, digest, &doc, e) < 0)
		return -1;
	return doc.kind == IMAGE_INDEX ? find_in_index(w, &doc, depth, e) : 0;
}

static int is_below_verified(struct session *s, struct arena *a, const char *manifest,
			     struct err *e)
{
	struct search w = { .s = s, .a = a, .wanted = manifest };
	int r = 0;

	for (size_t i = 0; i < s->verified.n && r == 0; i++)
		r = find_below(&w, s->verified.v[i], 0, e);
	strv_done(&w.seen);
	return r;
}

static int check_verified(struct session *s, struct arena *a, const char *manifest,
			  const char *config, struct err *e)
{
	struct image_doc doc;
	int r = is_below_verified(s, a, manifest, e);

	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "manifest \"%.100s\" is of no image that was verified", manifest);
	if (read_doc(s, a, manifest, &doc, e) < 0)
		return -1;
	if (doc.kind != IMAGE_MANIFEST || strcmp(doc.config.digest, config) != 0)
		return err_set(e, ERR_PERMISSION_DENIED, "config \"%.100s\" is not of manifest %s",
			       config, manifest);
	return 0;
}

/* --- one snapshot ----------------------------------------------------------------------------- */

/* Once for all layers of an image. */
static int find_image(struct session *s, const char *manifest, const char *config, struct err *e)
{
	AUTO_ARENA struct arena *tmp = arena_new();
	struct served_image *i = &s->image;
	struct image_config doc;
	char *text;
	size_t n;

	if (i->arena && strcmp(i->manifest, manifest) == 0 && strcmp(i->config, config) == 0)
		return 0;
	if (s->job->verifier && check_verified(s, tmp, manifest, config, e) < 0)
		return -1;
	if (read_document(s, tmp, config, &text, &n, e) < 0 ||
	    image_config_parse(tmp, text, n, &doc, e) < 0)
		return -1;
	arena_free(i->arena);
	i->arena = arena_new();
	i->manifest = arena_strdup(i->arena, manifest);
	i->config = arena_strdup(i->arena, config);
	i->n = doc.n_diff_ids;
	i->chains = image_chain_ids(i->arena, doc.diff_ids, doc.n_diff_ids);
	return 0;
}

static bool is_asked_for(const struct transfer_job *j, const char *snapshotter)
{
	for (size_t i = 0; i < j->n_unpacks; i++)
		if (strcmp(j->unpacks[i].snapshotter, snapshotter) == 0)
			return true;
	return false;
}

int grant_snapshot(struct session *s, const struct grant_request *q, struct err *e)
{
	const struct served_image *i = &s->image;

	if (!is_asked_for(s->job, q->snapshotter))
		return err_set(e, ERR_PERMISSION_DENIED, "this job unpacks nothing with %.100s",
			       q->snapshotter);
	if (find_image(s, q->manifest, q->config, e) < 0)
		return err_wrap(e, "snapshot %.100s", q->name);
	for (size_t k = 0; k < i->n; k++)
		if (strcmp(i->chains[k], q->name) == 0 &&
		    strcmp(k ? i->chains[k - 1] : "", q->parent) == 0)
			return 0;
	return err_set(e, ERR_PERMISSION_DENIED,
		       "snapshot \"%.100s\" on \"%.100s\" is no layer of config %s", q->name,
		       q->parent, i->config);
}
