/* The store's images as the CRI has them. */
#include "cri/image_read.h"
#include "api/cri/image.h"
#include "base/ident.h"
#include "oci/reference.h"
#include "store/image.h"

#include <string.h>

enum { SHORT_ID = 6 };

int cri_image_id(const struct call *call, const struct oci_descriptor *target, const char **ret,
		 struct err *e)
{
	struct image_brief brief;

	if (image_read_brief(call, target, &brief, e) < 0)
		return -1;
	*ret = arena_strdup(call->arena, brief.id);
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

static struct cri_image *add(struct reading *at, const struct image_brief *brief)
{
	struct cri_images *l = at->list;

	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].id, brief->id) == 0)
			return &l->v[i];
	GROW(l->v, l->n, l->cap);
	l->v[l->n] = (struct cri_image){
		.id = arena_strdup(at->call->arena, brief->id),
		.size = brief->size,
		.user = brief->has_user ? arena_strdup(at->call->arena, brief->user) : NULL
	};
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

static int on_record(const struct image_record *r, void *arg, UNUSED struct err *e)
{
	const struct oci_descriptor target = { .media_type = r->target.media_type,
					       .digest = r->target.digest,
					       .size = (uint64_t)r->target.size };
	struct reading *at = arg;
	struct err broken = { 0 };
	struct image_brief brief;
	struct cri_image *im;

	if (at->digest && strcmp(at->digest, r->target.digest) == 0) {
		im = &at->list->v[at->place];
	} else {
		/* of another platform, or not all here: nothing that can be run */
		if (image_read_brief(at->call, &target, &brief, &broken) < 0)
			return 0;
		im = add(at, &brief);
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

	if (!l->v || n < SHORT_ID || hex[strspn(hex, "0123456789abcdef")])
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
	/* A record that is named by an id may be of another image: what the image is counts. */
	const struct cri_image *im = digest_is_valid(name) ? NULL : find_name(l, name);

	if (!im)
		im = find_normal(l, name);
	return im ? im : find_id(l, name);
}
