#include "api/containerd/transfer_image.h"

#include "api/containerd/convert.h"
#include "api/containerd/publish.h"
#include "api/containerd/worker_run.h"
#include "base/str.h"
#include "store/image.h"

#include "containerd/events/image.pb-c.h"
#include <string.h>

typedef Containerd__Types__Transfer__ImageStore image_store;
typedef Containerd__Types__Transfer__ImageReference image_reference;

static void publish_image(const struct call *call, const struct image_record *r, bool is_new)
{
	if (is_new) {
		Containerd__Services__Images__V1__ImageCreate m =
			CONTAINERD__SERVICES__IMAGES__V1__IMAGE_CREATE__INIT;

		m.name = (char *)r->name;
		CONV_SET_LABELS(call->arena, &m, labels, &r->labels,
				containerd__services__images__v1__image_create__labels_entry);
		api_publish(call, "/images/create", &m.base);
	} else {
		Containerd__Services__Images__V1__ImageUpdate m =
			CONTAINERD__SERVICES__IMAGES__V1__IMAGE_UPDATE__INIT;

		m.name = (char *)r->name;
		CONV_SET_LABELS(call->arena, &m, labels, &r->labels,
				containerd__services__images__v1__image_update__labels_entry);
		api_publish(call, "/images/update", &m.base);
	}
}

/* A new record, or the old one turned to the new target. */
static int store_one(const struct call *call, const char *name, const struct descriptor *target,
		     const struct labels *labels, struct err *e)
{
	struct image_record in = { .name = name, .target = *target, .labels = *labels }, out;
	struct store *s = call->engine->store;
	struct err first = { 0 };
	bool is_new = true;

	if (image_create(s, call->ns, call->lease, call->arena, &in, &out, &first) < 0) {
		static const char *const paths[] = { "target", "labels" };
		const struct mask mask = { paths, labels->n ? 2 : 1 };

		if (first.code != ERR_ALREADY_EXISTS)
			return err_copy(e, &first);
		is_new = false;
		if (image_update(s, call->ns, call->lease, call->arena, &in, &mask, &out, e) < 0)
			return -1;
	}
	publish_image(call, &out, is_new);
	return 0;
}

static struct descriptor target_of(struct arena *a, const struct oci_descriptor *d)
{
	struct descriptor t = { .media_type = d->media_type,
				.digest = d->digest,
				.size = (int64_t)d->size };

	for (size_t i = 0; i < d->n_annotations; i++)
		labels_set(a, &t.annotations, d->annotations[i].key, d->annotations[i].value);
	return t;
}

int transfer_put_image(const struct call *call, const char *name,
		       const struct oci_descriptor *target, const struct labels *labels,
		       struct err *e)
{
	struct descriptor t = target_of(call->arena, target);

	return store_one(call, name, &t, labels, e);
}

/* The reference that says how names of an archive are taken: ctr sends one prefix. */
static const image_reference *prefix_of(const image_store *dest)
{
	for (size_t i = 0; i < dest->n_extra_references; i++)
		if (dest->extra_references[i]->is_prefix)
			return dest->extra_references[i];
	return NULL;
}

/* The name of one image of an archive: what it brings itself, if it is a whole reference (and has
 * the prefix, unless any is fine); else PREFIX:TAG.  NULL: none. */
static const char *name_of(struct arena *a, const struct transfer_image *img,
			   const image_reference *prefix)
{
	const char *name = img->name ? img->name : "";

	if (*name && strpbrk(name, "/:")) {
		if (!prefix || !*prefix->name || prefix->allow_overwrite ||
		    str_starts(name, prefix->name))
			return name;
		return NULL;
	}
	if (*name && prefix && *prefix->name)
		return arena_printf(a, "%s:%s", prefix->name, name);
	return NULL;
}

static const char *digest_name(struct arena *a, const image_store *dest,
			       const struct transfer_image *img, bool is_named)
{
	for (size_t i = 0; i < dest->n_extra_references; i++) {
		const image_reference *r = dest->extra_references[i];

		if (r->add_digest && *r->name && !(is_named && r->skip_named_digest))
			return arena_printf(a, "%s@%s", r->name, img->target.digest);
	}
	return NULL;
}

int transfer_store_images(const struct call *call, const image_store *dest,
			  const struct transfer_result *result, struct err *e)
{
	struct labels labels = CONV_LABELS(call->arena, dest, labels);
	const image_reference *prefix = prefix_of(dest);
	size_t stored = 0;

	if (*dest->name) {
		bool one = result->n_images == 1;
		struct descriptor t =
			target_of(call->arena, one ? &result->images[0].target : &result->root);

		if (!t.digest || !*t.digest)
			return err_set(e, ERR_NOT_FOUND, "no image in what was transferred");
		if (store_one(call, dest->name, &t, &labels, e) < 0)
			return -1;
		stored++;
	}
	for (size_t i = 0; i < result->n_images; i++) {
		const struct transfer_image *img = &result->images[i];
		struct descriptor t = target_of(call->arena, &img->target);
		const char *name =
			*dest->name && !prefix ? NULL : name_of(call->arena, img, prefix);
		const char *by_digest = digest_name(call->arena, dest, img, name);

		if (name && store_one(call, name, &t, &labels, e) < 0)
			return -1;
		if (by_digest && store_one(call, by_digest, &t, &labels, e) < 0)
			return -1;
		stored += (name != NULL) + (by_digest != NULL);
	}
	if (stored == 0)
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"nothing was stored: the archive names no image; give it a name or a "
			"prefix");
	return 0;
}

int transfer_tag(const struct call *call, const char *source, const image_store *dest,
		 struct err *e)
{
	struct labels labels = CONV_LABELS(call->arena, dest, labels);
	struct image_record r;

	if (!*dest->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "the new image has no name");
	if (image_get(call->engine->store, call->ns, call->arena, source, &r, e) < 0)
		return -1;
	if (worker_admit(call, dest->name, &r.target, e) < 0)
		return -1;
	return store_one(call, dest->name, &r.target, &labels, e);
}

static int add_image(const struct call *call, const char *name, struct transfer_image *v, size_t *n,
		     struct err *e)
{
	struct arena *a = call->arena;
	struct image_record r;

	for (size_t i = 0; i < *n; i++)
		if (strcmp(v[i].name, name) == 0)
			return 0;
	if (image_get(call->engine->store, call->ns, a, name, &r, e) < 0)
		return -1;

	struct transfer_image *img = &v[(*n)++];

	*img = (struct transfer_image){ .name = name,
					.target = { .media_type = r.target.media_type,
						    .digest = r.target.digest,
						    .size = (uint64_t)r.target.size,
						    .n_annotations = r.target.annotations.n } };
	img->target.annotations =
		arena_array(a, r.target.annotations.n, sizeof *img->target.annotations);
	for (size_t i = 0; i < r.target.annotations.n; i++)
		img->target.annotations[i] =
			(struct oci_annotation){ r.target.annotations.v[i].key,
						 r.target.annotations.v[i].value };
	return 0;
}

int transfer_find_images(const struct call *call, const image_store *source,
			 struct transfer_image **ret, size_t *ret_n, struct err *e)
{
	*ret = arena_array(call->arena, source->n_extra_references + 1, sizeof **ret);
	*ret_n = 0;
	if (*source->name && add_image(call, source->name, *ret, ret_n, e) < 0)
		return -1;
	for (size_t i = 0; i < source->n_extra_references; i++) {
		const image_reference *r = source->extra_references[i];

		if (r->is_prefix)
			return err_set(e, ERR_UNIMPLEMENTED,
				       "prefix lookup on export not implemented");
		if (add_image(call, r->name, *ret, ret_n, e) < 0)
			return -1;
	}
	return *ret_n ? 0 : err_set(e, ERR_NOT_FOUND, "no image to transfer");
}
