/* ctr images import and export --local */
#include "cmd/ctr/image_local.h"

#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/container.h"

#include "oci/platform.h"

int images_export_local(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	struct local l AUTO_LOCAL;
	struct jsonw *w = &l.job;
	IMAGES(Image) * stored;

	local_init(&l, ctr, "export");
	l.is_quiet = true;
	jsonw_kbool(w, "no_docker_manifest", args_bool(args, "skip-manifest-json"));
	jsonw_kbool(w, "no_nondistributable", args_bool(args, "skip-non-distributable"));
	if (local_platforms_from_flags(&l, args, e) < 0)
		return -1;
	jsonw_key(w, "images");
	jsonw_array(w);
	for (size_t i = 1; i < args->n; i++) {
		if (image_get(ctr, args->v[i], &stored, e) < 0)
			return -1;
		local_add_image(&l, stored->name, stored->target);
	}
	jsonw_end(w);
	return local_run(&l, fd, e);
}

/* --- import --- */

struct import {
	struct ctr *ctr;
	const struct args *args;
	const char *prefix; /* of names that the archive gives as tags alone */
	bool only_prefix; /* other names are left out */
	struct labels labels;
	struct strv names; /* of the records that were made */
};

/* The name of an image of the archive, as the Transfer service would give it; NULL: none. */
static const char *name_of(const struct import *im, const struct local_image *img)
{
	if (!*img->name)
		return NULL;
	if (!strpbrk(img->name, "/:"))
		return arena_printf(im->ctr->arena, "%s:%s", im->prefix, img->name);
	return im->only_prefix && !str_starts(img->name, im->prefix) ? NULL : img->name;
}

static int put(struct import *im, const char *name, const struct oci_descriptor *target,
	       struct err *e)
{
	if (image_put(im->ctr, name, target, &im->labels, e) < 0)
		return -1;
	strv_add(&im->names, name);
	return 0;
}

static int put_all(struct import *im, const struct local *l, struct err *e)
{
	bool digests = args_bool(im->args, "digests"),
	     not_named = args_bool(im->args, "skip-digest-for-named");
	const char *index = args_string(im->args, "index-name"), *name;

	if (*index && l->root.digest && put(im, index, &l->root, e) < 0)
		return -1;
	for (size_t i = 0; i < l->n_images; i++) {
		const struct oci_descriptor *target = &l->images[i].target;

		name = name_of(im, &l->images[i]);
		if (name && put(im, name, target, e) < 0)
			return -1;
		if (digests && !(name && not_named) &&
		    put(im, arena_printf(im->ctr->arena, "%s@%s", im->prefix, target->digest),
			target, e) < 0)
			return -1;
	}
	if (!im->names.n)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "nothing was stored: the archive names no image; give it a name "
			       "with --base-name, --digests or --index-name");
	return 0;
}

/* Without the labels that lead to them the layers are collected; their snapshots stay. */
static int forget_layers(struct ctr *ctr, const struct image *img, struct err *e)
{
	struct labels gone = { 0 };

	for (size_t i = 0; i < img->n_layers; i++)
		labels_add(ctr->arena, &gone,
			   arena_printf(ctr->arena, "containerd.io/gc.ref.content.l.%zu", i), "");
	return gone.n ? blob_label(ctr, img->manifest_digest, &gone, e) : 0;
}

static int unpack(struct import *im, const char *name, struct err *e)
{
	size_t n;
	const char *const *words = args_list(im->args, "platform", &n);
	struct platform p = platform_host();
	struct ctr *ctr = im->ctr;
	IMAGES(Image) * record;
	struct image img;

	if (image_get(ctr, name, &record, e) < 0 || (n && platform_parse(words[0], &p, e) < 0))
		return -1;
	ctr_print(stdout, "unpacking %s (%s)...", record->name, record->target->digest);
	fflush(stdout);
	if (image_load(ctr, record, &p, &img, e) < 0 ||
	    image_unpack_sync(ctr, &img, snapshotter_of(im->args), args_bool(im->args, "sync-fs"),
			      e) < 0)
		return -1;
	puts("done");
	return args_bool(im->args, "discard-unpacked-layers") ? forget_layers(ctr, &img, e) : 0;
}

static int run(struct import *im, int fd, struct err *e)
{
	struct local l AUTO_LOCAL;

	local_init(&l, im->ctr, "import");
	l.is_quiet = true; /* the names come with the unpacking */
	if (local_platforms_from_flags(&l, im->args, e) < 0)
		return -1;
	jsonw_kbool(&l.job, "compress_blobs", args_bool(im->args, "compress-blobs"));
	if (local_run(&l, fd, e) < 0 || put_all(im, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < im->names.n; i++) {
		if (args_bool(im->args, "no-unpack"))
			ctr_puts(im->ctr, im->names.v[i]);
		else if (unpack(im, im->names.v[i], e) < 0)
			return -1;
	}
	return 0;
}

int images_import_local(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	struct import im = { .ctr = ctr, .args = args };
	size_t n;
	const char *const *words = args_list(args, "label", &n);

	labels_parse(ctr->arena, words, n, &im.labels);
	im.prefix = args_string(args, "base-name");
	im.only_prefix = *im.prefix;
	if (!*im.prefix)
		im.prefix = import_prefix(ctr->arena);
	int r = run(&im, fd, e);

	strv_done(&im.names);
	return r;
}
