#include "image/closure.h"

#include <string.h>

enum { BLOBS_MAX = 65536 };

static bool is_wanted(const struct worker *w, const struct oci_descriptor *d)
{
	if (w->job.n_platforms == 0 || !d->has_platform)
		return true;
	for (size_t i = 0; i < w->job.n_platforms; i++)
		if (platform_matches(&w->job.platforms[i], &d->platform))
			return true;
	return false;
}

static bool has(const struct closure *c, const char *digest)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].desc.digest, digest) == 0)
			return true;
	return false;
}

static int add(struct closure *c, const struct oci_descriptor *d, bool is_document, struct err *e)
{
	if (has(c, d->digest))
		return 0;
	if (c->n == BLOBS_MAX)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "more than %d blobs", BLOBS_MAX);
	GROW(c->v, c->n, c->cap);
	c->v[c->n++] = (struct closure_item){ *d, is_document };
	return 0;
}

static bool is_left_out(const struct closure *c, const struct oci_descriptor *layer)
{
	return c->no_nondistributable && (strstr(layer->media_type, ".nondistributable.") ||
					  strstr(layer->media_type, ".foreign."));
}

static int add_manifest(struct closure *c, const struct oci_descriptor *d,
			const struct image_doc *doc, struct closure_image *ret, struct err *e)
{
	if (!ret->is_found && media_is_config(doc->config.media_type))
		*ret = (struct closure_image){ true, *d, *doc };
	for (size_t i = 0; i < doc->n_layers; i++)
		if (!is_left_out(c, &doc->layers[i]) && add(c, &doc->layers[i], false, e) < 0)
			return -1;
	return add(c, &doc->config, false, e) < 0 ? -1 : add(c, d, true, e);
}

bool closure_is_leaf(const struct oci_descriptor *d)
{
	return media_is_leaf(d->media_type);
}

static int walk(struct closure *c, const struct oci_descriptor *d, int depth,
		struct closure_image *ret, struct err *e);

static int walk_entry(struct closure *c, const struct oci_descriptor *d, int depth,
		      struct closure_image *ret, struct err *e)
{
	return closure_is_leaf(d) ? add(c, d, false, e) : walk(c, d, depth, ret, e);
}

static int walk(struct closure *c, const struct oci_descriptor *d, int depth,
		struct closure_image *ret, struct err *e)
{
	struct image_doc doc;
	char *bytes;
	size_t n, wanted = 0;

	if (depth > IMAGE_INDEX_DEPTH)
		return err_set(e, ERR_INVALID_ARGUMENT, "indexes are nested more than %d deep",
			       IMAGE_INDEX_DEPTH);
	if (worker_get_document(c->w, d, &bytes, &n, e) < 0 ||
	    image_doc_parse(c->w->arena, d->media_type, bytes, n, &doc, e) < 0)
		return -1;
	if (doc.kind == IMAGE_MANIFEST)
		return add_manifest(c, d, &doc, ret, e);
	for (size_t i = 0; i < doc.n_manifests; i++) {
		if (!is_wanted(c->w, &doc.manifests[i]))
			continue;
		wanted++;
		if (walk_entry(c, &doc.manifests[i], depth + 1, ret, e) < 0)
			return -1;
	}
	if (!wanted && doc.n_manifests)
		return err_set(e, ERR_NOT_FOUND, "no manifest found for platform");
	return add(c, d, true, e);
}

int closure_add(struct closure *c, const struct oci_descriptor *d, struct closure_image *ret,
		struct err *e)
{
	*ret = (struct closure_image){ 0 };
	return walk(c, d, 0, ret, e);
}

void closure_done(struct closure *c)
{
	free(c->v);
}
