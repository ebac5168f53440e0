/* ctr images push: by the daemon's transfer service. */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"

const struct flag push_flags[] = {
	{ .name = "manifest",
	  .type = FLAG_STRING,
	  .help = "digest of manifest",
	  .missing = "not supported: tag the manifest's image and push that" },
	{ .name = "manifest-type",
	  .type = FLAG_STRING,
	  .help = "media type of manifest digest",
	  .missing = "not supported: see --manifest" },
	{ "platform", FLAG_LIST, NULL, "push content from a specific platform" },
	{ .name = "max-concurrent-uploaded-layers",
	  .type = FLAG_INT,
	  .help = "set the max concurrent uploaded layers for each push",
	  .def = "0",
	  .missing = "not supported: layers are pushed one after the other" },
	{ .name = "local",
	  .type = FLAG_BOOL,
	  .help = "push content from local client rather than using transfer service",
	  .missing = "not supported: pushes run in the daemon's transfer worker" },
	{ .name = "allow-non-distributable-blobs",
	  .type = FLAG_BOOL,
	  .help = "allow pushing blobs that are marked as non-distributable",
	  .missing = "not supported" },
	{ NULL },
};

int images_push(struct ctr *ctr, const struct args *args, struct err *e)
{
	Containerd__Types__Transfer__OCIRegistry dest;
	ImageStore store = CONTAINERD__TYPES__TRANSFER__IMAGE_STORE__INIT;
	const char *ref = ref_complete(ctr, args_at(args, 0));
	struct transfer *t AUTO_TRANSFER = NULL;
	IMAGES(Image) * stored;

	if (!*ref)
		return err_set(e, ERR_UNKNOWN, "please provide a remote image reference to push");
	/* A second word: what is pushed there, when it has another name here. */
	if (image_get(ctr, *args_at(args, 1) ? args_at(args, 1) : ref, &stored, e) < 0)
		return err_wrap(e, "unable to resolve image to manifest");
	store.name = stored->name;
	if (platforms_wanted(args, &store.platforms, &store.n_platforms, e) < 0 ||
	    transfer_new(ctr, &t, e) < 0 || registry_from_flags(args, t, ref, &dest, e) < 0)
		return -1;
	return transfer_run(t, &store, &dest, e);
}
