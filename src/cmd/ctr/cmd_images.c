/* ctr images: list, remove, tag, label; the others have files of their own */
#include "cmd/ctr/cmd_images.h"

#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"
#include "cmd/ctr/list_json.h"
#include "cmd/ctr/table.h"

#include "base/log.h"
#include "oci/reference.h"

const char *ref_complete(struct ctr *c, const char *ref)
{
	struct err ignored = { 0 };
	char *full AUTO_FREE = NULL;

	if (reference_normalize(ref, &full, &ignored) < 0)
		return ref;
	return arena_strdup(c->arena, full);
}

int platform_wanted(const struct args *args, struct platform *ret, struct err *e)
{
	const char *text = args_string(args, "platform");

	if (!*text) {
		*ret = platform_host();
		return 0;
	}
	return platform_parse(text, ret, e);
}

int images_list_records(struct ctr *ctr, const struct args *args, IMAGES(ListImagesResponse) * *ret,
			struct err *e)
{
	IMAGES(ListImagesRequest) req = IMAGES_INIT(LIST_IMAGES_REQUEST);

	req.filters = (char **)(uintptr_t)args->v;
	req.n_filters = args->n;
	if (CTR_CALL(ctr, "images.v1.Images/List", &req, images__v1__list_images_response, ret, e) <
	    0)
		return err_wrap(e, "failed to list images");
	return 0;
}

static void list_row(struct ctr *ctr, struct table *t, const IMAGES(Image) * i)
{
	const char *platforms = "-", *size = "-";
	struct platform host = platform_host();
	struct err e = { 0 };
	struct labels l;
	struct image img;

	if (image_load(ctr, i, &host, &img, &e) == 0)
		size = size_binary(ctr->arena, (int64_t)img.size);
	else
		log_error(LOG({ "error", e.msg }), "failed calculating size for image %s", i->name);
	err_clear(&e);
	if (image_platforms(ctr, i, &platforms, &e) < 0)
		log_error(LOG({ "error", e.msg }), "failed get platform for image %s", i->name);
	labels_from_pb(ctr->arena, i->labels, i->n_labels, &l);
	table_row(t, i->name, i->target->media_type, i->target->digest, size, platforms,
		  l.n ? labels_text(ctr->arena, &l) : "-", "", NULL);
}

static int images_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	IMAGES(ListImagesResponse) * rsp;
	struct table t = TABLE_NARROW(ctr->arena);
	bool json;

	if (list_wants_json(args, &json, e) < 0 || images_list_records(ctr, args, &rsp, e) < 0)
		return -1;
	if (json)
		return list_print_json(rsp->images, rsp->n_images, e);
	if (args_bool(args, "quiet")) {
		for (size_t i = 0; i < rsp->n_images; i++)
			ctr_puts(ctr, rsp->images[i]->name);
		return 0;
	}
	table_row(&t, "REF", "TYPE", "DIGEST", "SIZE", "PLATFORMS", "LABELS", "", NULL);
	for (size_t i = 0; i < rsp->n_images; i++)
		if (rsp->images[i]->target)
			list_row(ctr, &t, rsp->images[i]);
	table_print(&t, stdout);
	return 0;
}

/* The name as it is stored: as typed, or in its full form. */
static int stored_name(struct ctr *ctr, const char *name, const char **ret, struct err *e)
{
	IMAGES(Image) * i;

	if (image_get(ctr, name, &i, e) < 0)
		return -1;
	*ret = i->name;
	return 0;
}

static int remove_one(struct ctr *ctr, const char *name, bool sync, struct err *e)
{
	IMAGES(DeleteImageRequest) req = IMAGES_INIT(DELETE_IMAGE_REQUEST);
	const char *stored;

	if (stored_name(ctr, name, &stored, e) < 0)
		return -1;
	req.name = PB(stored);
	req.sync = sync;
	return CTR_CALL_EMPTY(ctr, "images.v1.Images/Delete", &req, e);
}

/* As the original: an image that is not there is only warned about. */
static int images_remove(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct err first = { 0 };

	for (size_t i = 0; i < args->n; i++) {
		bool is_last = i + 1 == args->n;
		struct err one = { 0 };

		if (remove_one(ctr, args->v[i], is_last && args_bool(args, "sync"), &one) == 0) {
			ctr_puts(ctr, args->v[i]);
		} else if (one.code == ERR_NOT_FOUND) {
			ctr_warn("%s: image not found", args->v[i]);
		} else {
			err_wrap(&one, "unable to delete %s", args->v[i]);
			log_error(LOG_NONE, "%s", one.msg);
			if (!first.code)
				first = one;
		}
	}
	return first.code ? err_copy(e, &first) : 0;
}

static int put_image(struct ctr *ctr, IMAGES(Image) * i, bool force, struct err *e)
{
	IMAGES(CreateImageRequest) create = IMAGES_INIT(CREATE_IMAGE_REQUEST);
	IMAGES(DeleteImageRequest) del = IMAGES_INIT(DELETE_IMAGE_REQUEST);

	create.image = i;
	if (CTR_CALL(ctr, "images.v1.Images/Create", &create, images__v1__create_image_response,
		     NULL, e) == 0)
		return 0;
	if (!force || e->code != ERR_ALREADY_EXISTS)
		return -1;
	err_clear(e);
	del.name = i->name;
	if (CTR_CALL_EMPTY(ctr, "images.v1.Images/Delete", &del, e) < 0)
		return -1;
	return CTR_CALL(ctr, "images.v1.Images/Create", &create, images__v1__create_image_response,
			NULL, e);
}

static int check_name(const char *name, struct err *e)
{
	struct err why = { 0 };
	char *full AUTO_FREE = NULL;

	if (reference_normalize(name, &full, &why) == 0)
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "error parsing reference: \"%s\" is not a valid repository/tag %s", name,
		       why.msg);
}

/* As the original: a tag moves, unless --local says that only --force may move it. */
static int tag_one(struct ctr *ctr, const struct args *args, const IMAGES(Image) * source,
		   const char *name, struct err *e)
{
	IMAGES(Image) copy = *source;
	bool force = args_bool(args, "force") || !args_bool(args, "local");

	if (!args_bool(args, "skip-reference-check") && check_name(name, e) < 0)
		return -1;
	copy.name = PB(name);
	if (put_image(ctr, &copy, force, e) < 0)
		return -1;
	ctr_puts(ctr, name);
	return 0;
}

static int images_tag(struct ctr *ctr, const struct args *args, struct err *e)
{
	IMAGES(Image) * source;
	int r = 0;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to tag from");
	if (!*args_at(args, 1))
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to tag to");
	if (ctr_lease(ctr, e) < 0)
		return -1;
	r = image_get(ctr, args->v[0], &source, e);
	for (size_t i = 1; r == 0 && i < args->n; i++)
		r = tag_one(ctr, args, source, args->v[i], e);
	ctr_lease_done(ctr);
	return r;
}

static int images_label(struct ctr *ctr, const struct args *args, struct err *e)
{
	IMAGES(UpdateImageRequest) req = IMAGES_INIT(UPDATE_IMAGE_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	IMAGES(UpdateImageResponse) * rsp;
	IMAGES(Image) image = IMAGES_INIT(IMAGE);
	struct labels l = { 0 };
	const char *name;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please specify an image");
	if (stored_name(ctr, args->v[0], &name, e) < 0)
		return -1;
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	image.name = PB(name);
	image.n_labels = l.n;
	image.labels = (void *)labels_to_pb(
		ctr->arena, &l, &containerd__services__images__v1__image__labels_entry__descriptor);
	mask.paths = labels_mask(ctr->arena, &l);
	mask.n_paths = l.n;
	if (args_bool(args, "replace-all")) {
		mask.paths[0] = PB("labels");
		mask.n_paths = 1;
	}
	req.image = &image;
	req.update_mask = &mask;
	if (CTR_CALL(ctr, "images.v1.Images/Update", &req, images__v1__update_image_response, &rsp,
		     e) < 0)
		return -1;
	if (rsp->image) {
		labels_from_pb(ctr->arena, rsp->image->labels, rsp->image->n_labels, &l);
		ctr_puts(ctr, labels_text(ctr->arena, &l));
	}
	return 0;
}

static const struct flag remove_flags[] = {
	{ "sync", FLAG_BOOL, NULL, "Synchronously remove image and all associated resources" },
	{ NULL },
};

static const struct flag tag_flags[] = {
	{ "force", FLAG_BOOL, NULL,
	  "force target_ref to be created, regardless if it already exists" },
	{ "local", FLAG_BOOL, NULL, "run tag locally rather than through transfer API" },
	{ "skip-reference-check", FLAG_BOOL, NULL, "skip the strict check for reference names" },
	{ NULL },
};

static const struct flag label_flags[] = {
	{ "replace-all", FLAG_BOOL, "r", "replace all labels" },
	{ NULL },
};

const struct command images_commands[] = {
	{ .name = "check",
	  .usage = "check existing images to ensure all content is available locally",
	  .args_usage = "[flags] [<filter>, ...]",
	  .flags = { quiet_flags, snapshotter_flags, list_format_flags },
	  .run = images_check },
	{ .name = "export",
	  .usage = "export images",
	  .args_usage = "[flags] <out> <image> ...",
	  .description =
		  "Export images to an OCI tar archive (\"-\" is the standard output), which "
		  "docker load\n"
		  "   reads, too.",
	  .flags = { export_flags },
	  .run = images_export },
	{ .name = "import",
	  .usage = "import images",
	  .args_usage = "[flags] <in>",
	  .description = "Import images from a tar stream (\"-\" is the standard input): an OCI "
			 "layout or\n"
			 "   what docker save writes.",
	  .flags = { import_flags, snapshotter_flags },
	  .run = images_import },
	{ .name = "inspect",
	  .aliases = "i",
	  .usage = "inspect an image",
	  .args_usage = "[flags] <image>",
	  .description = "The tree of indexes, manifests, configs and layers that an image is made "
			 "of.",
	  .flags = { inspect_flags, list_format_flags },
	  .run = images_inspect },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list images known to containerd",
	  .args_usage = "[flags] [<filter>, ...]",
	  .description = "list images registered with containerd",
	  .flags = { quiet_flags, list_format_flags },
	  .run = images_list },
	{ .name = "mount",
	  .usage = "mount an image to a target path",
	  .args_usage = "[flags] <ref> <target>",
	  .description = "Mount an image rootfs to a specified path.\n\n"
			 "   When you are done, use the unmount command.",
	  .flags = { registry_flags, snapshotter_flags, mount_flags },
	  .run = images_mount },
	{ .name = "unmount",
	  .usage = "unmount the image from the target",
	  .args_usage = "[flags] <target>",
	  .description = "Unmount the image rootfs from the specified target.",
	  .flags = { registry_flags, snapshotter_flags, unmount_flags },
	  .run = images_unmount },
	{ .name = "pull",
	  .usage = "pull an image from a remote",
	  .args_usage = "[flags] <ref>",
	  .description = "Fetch and prepare an image for use in containerd.\n\n"
			 "   After pulling an image, it should be ready to use the same reference "
			 "in a run\n"
			 "   command.",
	  .flags = { registry_flags, pull_flags, snapshotter_flags },
	  .run = images_pull },
	{ .name = "push",
	  .usage = "push an image to a remote",
	  .args_usage = "[flags] <remote> [<local>]",
	  .description = "Pushes an image reference from containerd.\n\n"
			 "   All resources associated with the manifest reference will be "
			 "pushed. Of what the\n"
			 "   registry has already, nothing is sent.",
	  .flags = { registry_flags, push_flags },
	  .run = images_push },
	{ .name = "prune",
	  .usage = "remove unused images",
	  .args_usage = "[flags]",
	  .description = "Remove the images that no container was made from.",
	  .flags = { prune_flags },
	  .run = images_prune },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "remove one or more images by reference",
	  .args_usage = "[flags] <ref> [<ref>, ...]",
	  .description = "remove one or more images by reference",
	  .flags = { remove_flags },
	  .run = images_remove },
	{ .name = "tag",
	  .usage = "tag an image",
	  .args_usage = "[flags] <source_ref> <target_ref> [<target_ref>, ...]",
	  .description = "Tag an image for use in containerd.",
	  .flags = { tag_flags },
	  .run = images_tag },
	{ .name = "label",
	  .usage = "set and clear labels for an image",
	  .args_usage = "[flags] <name> [<key>=<value>, ...]",
	  .description = "set and clear labels for an image",
	  .flags = { label_flags },
	  .run = images_label },
	{ .name = "convert",
	  .usage = "convert an image",
	  .args_usage = "[flags] <source_ref> <target_ref>",
	  .description = "Convert an image format.\n\n"
			 "   e.g., 'ctr images convert --uncompress --oci example.com/foo:orig "
			 "example.com/foo:converted'\n\n"
			 "   Use '--platform' to define the output platform.\n"
			 "   When '--all-platforms' is given all images in a manifest list must be "
			 "available.",
	  .flags = { convert_flags },
	  .run = images_convert },
	{ .name = "usage",
	  .usage = "display usage of snapshots for a given image ref",
	  .args_usage = "[flags] <ref>",
	  .flags = { snapshotter_flags },
	  .run = images_usage },
	{ .name = NULL },
};
