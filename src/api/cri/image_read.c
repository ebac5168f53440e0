/* The store's images as the CRI has them. */
#include "api/cri/image.h"
#include "oci/reference.h"
#include "os/fd.h"
#include "store/content.h"
#include "store/image.h"

#include <string.h>

enum { SHORT_ID = 6 };

/* --- documents --- */

static int read_blob(const struct call *call, const char *digest, char **ret, size_t *ret_n,
		     struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;

	if (content_open(call->engine->store, call->ns, digest, &fd, &size, e) < 0)
		return -1;
	if (size > IMAGE_DOC_MAX)
		return err_set(e, ERR_OUT_OF_RANGE, "content %s is larger than %d MiB", digest,
			       IMAGE_DOC_MAX >> 20);
	*ret = arena_alloc(call->arena, (size_t)size + 1);

	ssize_t n = fd_read_all(fd, *ret, (size_t)size);

	if (n < 0)
		return err_sys(e, (int)-n, "read %s", digest);
	*ret_n = (size_t)n;
	return 0;
}

static int read_doc(const struct call *call, const struct oci_descriptor *d, struct image_doc *ret,
		    struct err *e)
{
	char *bytes;
	size_t n;

	if (read_blob(call, d->digest, &bytes, &n, e) < 0)
		return -1;
	if (image_doc_parse(call->arena, d->media_type, bytes, n, ret, e) < 0)
		return err_wrap(e, "content %s", d->digest);
	return 0;
}

/* Of an index, the entry for this machine. */
static const struct oci_descriptor *choose(const struct image_doc *doc)
{
	const struct platform host = platform_host();

	for (size_t i = 0; i < doc->n_manifests; i++) {
		const struct oci_descriptor *d = &doc->manifests[i];

		if (d->has_platform && !platform_matches(&host, &d->platform))
			continue;
		if (media_is_index(d->media_type) || media_is_manifest(d->media_type))
			return d;
	}
	return NULL;
}

static int read_manifest(const struct call *call, const struct oci_descriptor *target,
			 struct image_doc *ret, uint64_t *ret_size, struct err *e)
{
	const struct oci_descriptor *d = target;

	*ret_size = 0;
	for (int depth = 0; d && depth <= IMAGE_INDEX_DEPTH; depth++) {
		*ret_size += d->size;
		if (read_doc(call, d, ret, e) < 0)
			return -1;
		if (ret->kind == IMAGE_MANIFEST)
			return 0;
		d = choose(ret);
	}
	return err_set(e, ERR_NOT_FOUND, "no match for this machine's platform in %s",
		       target->digest);
}

static int read_target(const struct call *call, const struct oci_descriptor *target,
		       struct image_doc *doc, uint64_t *ret_size, struct err *e)
{
	if (read_manifest(call, target, doc, ret_size, e) < 0)
		return -1;
	*ret_size += doc->config.size;
	for (size_t i = 0; i < doc->n_layers; i++)
		*ret_size += doc->layers[i].size;
	return 0;
}

int cri_image_id(const struct call *call, const struct oci_descriptor *target, const char **ret,
		 uint64_t *ret_size, struct err *e)
{
	struct image_doc doc;

	if (read_target(call, target, &doc, ret_size, e) < 0)
		return -1;
	*ret = doc.config.digest;
	return 0;
}

/* --- the list --- */

struct reading {
	const struct call *call;
	struct cri_images *list;
	/* of the record before: an image's names come with one target each, mostly in a row */
	const char *digest;
	size_t place;
};

static struct cri_image *add(struct cri_images *l, const char *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].id, id) == 0)
			return &l->v[i];
	GROW(l->v, l->n, l->cap);
	l->v[l->n] = (struct cri_image){ .id = id };
	return &l->v[l->n++];
}

static void add_name(struct cri_image *im, const char *name)
{
	AUTO_REFERENCE struct reference r = { 0 };
	struct err e = { 0 };

	strv_add(&im->names, name);
	if (str_starts(name, "sha256:") || reference_parse(name, &r, &e) < 0)
		return;
	if (r.digest)
		strv_add(&im->digests, name);
	else if (r.tag)
		strv_add(&im->tags, name);
}

/* What the config says; the image is there without it, too. */
static void read_config(const struct call *call, struct cri_image *im)
{
	struct err e = { 0 };
	char *bytes;
	size_t n;

	if (read_blob(call, im->id, &bytes, &n, &e) < 0 ||
	    image_config_parse(call->arena, bytes, n, &im->parsed, &e) < 0)
		return;
	im->config = bytes;
	im->n_config = n;
}

static int on_record(const struct image_record *r, void *arg, UNUSED struct err *e)
{
	const struct oci_descriptor target = { .media_type = r->target.media_type,
					       .digest = r->target.digest,
					       .size = (uint64_t)r->target.size };
	struct reading *at = arg;
	struct err broken = { 0 };
	struct image_doc doc;
	struct cri_image *im;
	uint64_t size;

	if (at->digest && strcmp(at->digest, r->target.digest) == 0) {
		im = &at->list->v[at->place];
	} else {
		/* of another platform, or not all here: nothing that can be run */
		if (read_target(at->call, &target, &doc, &size, &broken) < 0)
			return 0;
		im = add(at->list, doc.config.digest);
		if (!im->size) {
			im->size = size;
			read_config(at->call, im);
		}
		at->digest = r->target.digest;
		at->place = (size_t)(im - at->list->v);
	}
	add_name(im, r->name);
	im->is_pinned |= labels_get(&r->labels, CRI_PINNED_LABEL) &&
			 !strcmp(labels_get(&r->labels, CRI_PINNED_LABEL), "pinned");
	return 0;
}

int cri_images_read(const struct call *call, struct cri_images *ret, struct err *e)
{
	struct reading at = { .call = call, .list = ret };

	*ret = (struct cri_images){ 0 };
	return image_list(call->engine->store, call->ns, call->arena, on_record, &at, e);
}

void cri_images_done(struct cri_images *l)
{
	for (size_t i = 0; i < l->n; i++) {
		strv_done(&l->v[i].names);
		strv_done(&l->v[i].tags);
		strv_done(&l->v[i].digests);
	}
	free(l->v);
	*l = (struct cri_images){ 0 };
}

/* --- looking for one --- */

static const struct cri_image *find_id(const struct cri_images *l, const char *name)
{
	const char *hex = str_starts(name, "sha256:") ? name + 7 : name;
	const struct cri_image *found = NULL;
	size_t n = strlen(hex);

	if (n < SHORT_ID || hex[strspn(hex, "0123456789abcdef")])
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		const char *id = strchr(l->v[i].id, ':') + 1;

		if (strncmp(id, hex, n) != 0)
			continue;
		if (found)
			return NULL; /* it is not one alone */
		found = &l->v[i];
	}
	return found;
}

static const struct cri_image *find_name(const struct cri_images *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strv_has(&l->v[i].names, name))
			return &l->v[i];
	return NULL;
}

/* In its whole form, where a name with tag and digest is known by the latter. */
static const struct cri_image *find_normal(const struct cri_images *l, const char *name)
{
	AUTO_REFERENCE struct reference r = { 0 };
	struct err e = { 0 };

	if (reference_parse(name, &r, &e) < 0)
		return NULL;
	reference_add_default_tag(&r);
	if (r.digest) {
		free(r.tag);
		r.tag = NULL;
	}
	AUTO_FREE char *text = reference_text(&r);

	return find_name(l, text);
}

const struct cri_image *cri_images_find(const struct cri_images *l, const char *name)
{
	const struct cri_image *im = find_name(l, name);

	if (!im)
		im = find_normal(l, name);
	return im ? im : find_id(l, name);
}
