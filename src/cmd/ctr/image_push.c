/* ctr images push: by the daemon's transfer service. */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/image_local.h"
#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"

const struct flag push_flags[] = {
	{ "manifest", FLAG_STRING, NULL, "digest of manifest (implies --local)" },
	{ "manifest-type", FLAG_STRING, NULL, "media type of manifest digest", MEDIA_OCI_MANIFEST },
	{ "platform", FLAG_LIST, NULL, "push content from a specific platform" },
	{ "max-concurrent-uploaded-layers", FLAG_INT, NULL,
	  "set the max concurrent uploaded layers for each push (implies --local)", "0" },
	{ "local", FLAG_BOOL, NULL,
	  "push content from local client rather than using transfer service" },
	{ "allow-non-distributable-blobs", FLAG_BOOL, NULL,
	  "allow pushing blobs that are marked as non-distributable (implies --local)" },
	{ NULL },
};

static bool push_is_local(const struct args *args)
{
	return args_bool(args, "local") || *args_string(args, "manifest") ||
	       args_int(args, "max-concurrent-uploaded-layers") ||
	       args_bool(args, "allow-non-distributable-blobs") || registry_needs_local(args);
}

static int push(struct ctr *ctr, const struct args *args, const char *ref, struct err *e)
{
	Containerd__Types__Transfer__OCIRegistry dest;
	ImageStore store = CONTAINERD__TYPES__TRANSFER__IMAGE_STORE__INIT;
	struct transfer *t AUTO_TRANSFER = NULL;
	IMAGES(Image) * stored;

	/* A second word: what is pushed there, when it has another name here. */
	if (image_get(ctr, *args_at(args, 1) ? args_at(args, 1) : ref, &stored, e) < 0)
		return err_wrap(e, "unable to resolve image to manifest");
	store.name = stored->name;
	if (platforms_wanted(args, &store.platforms, &store.n_platforms, e) < 0 ||
	    transfer_new(ctr, &t, e) < 0 || registry_from_flags(args, t, ref, &dest, e) < 0)
		return -1;
	return transfer_run(t, &store, &dest, e);
}

int images_push(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *ref = ref_complete(ctr, args_at(args, 0));

	if (!*ref)
		return err_set(e, ERR_UNKNOWN, "please provide a remote image reference to push");
	if (push_is_local(args))
		return images_push_local(ctr, args, ref, e);
	if (push(ctr, args, ref, e) == 0)
		return 0;
	if (!ctr->no_transfer)
		return -1;
	err_clear(e);
	return images_push_local(ctr, args, ref, e);
}
