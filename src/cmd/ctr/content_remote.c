/* ctr content fetch, fetch-object, fetch-blob, push-object: by a worker of our own. */
#include "cmd/ctr/cmd_content.h"

#include "cmd/ctr/image_local.h"

#include "base/ident.h"

const struct flag fetch_flags[] = {
	{ "label", FLAG_LIST, NULL, "Labels to attach to the image" },
	{ "platform", FLAG_LIST, NULL, "Pull content from a specific platform" },
	{ "all-platforms", FLAG_BOOL, NULL, "Pull content from all platforms" },
	{ "skip-metadata", FLAG_BOOL, NULL,
	  "Skips metadata for unused platforms (Image may be unable to be pushed without "
	  "metadata)" },
	{ "metadata-only", FLAG_BOOL, NULL, "Pull all metadata including manifests and configs" },
	{ NULL },
};

const struct flag fetch_blob_flags[] = {
	{ "media-type", FLAG_STRING, NULL, "Specify target mediatype for request header" },
	{ NULL },
};

int content_fetch(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *ref = ref_complete(ctr, args_at(args, 0));
	enum fetch_what what = args_bool(args, "metadata-only")   ? FETCH_METADATA_ONLY
			       : args_bool(args, "skip-metadata") ? FETCH_WITHOUT_METADATA
								  : FETCH_ALL;
	IMAGES(Image) * record;
	int r;

	if (!*ref)
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to fetch");
	if (ctr_lease(ctr, e) < 0)
		return -1;
	r = image_fetch(ctr, args, ref, what, 0, &record, e);
	ctr_lease_done(ctr);
	return r;
}

static void write_digests(struct local *l, const char *const *v, size_t n)
{
	jsonw_key(&l->job, "digests");
	jsonw_array(&l->job);
	for (size_t i = 0; i < n; i++)
		jsonw_string(&l->job, v[i]);
	jsonw_end(&l->job);
}

static int fetch(struct ctr *ctr, const struct args *args, const char *const *digests, size_t n,
		 const char *media_type, struct err *e)
{
	struct local l AUTO_LOCAL;

	local_init(&l, ctr, "fetch");
	l.is_quiet = true;
	if (registry_to_job(args, &l, ref_complete(ctr, args->v[0]), e) < 0)
		return -1;
	write_digests(&l, digests, n);
	jsonw_kstring(&l.job, "media_type", media_type);
	return local_run(&l, STDOUT_FILENO, e);
}

int content_fetch_object(struct ctr *ctr, const struct args *args, struct err *e)
{
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "please provide a reference to fetch");
	return fetch(ctr, args, NULL, 0, "", e);
}

int content_fetch_blob(struct ctr *ctr, const struct args *args, struct err *e)
{
	if (args->n < 2)
		return err_set(e, ERR_UNKNOWN, "must specify digests");
	return fetch(ctr, args, args->v + 1, args->n - 1, args_string(args, "media-type"), e);
}

int content_push_object(struct ctr *ctr, const struct args *args, struct err *e)
{
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;
	const char *digest = args_at(args, 1), *type = args_at(args, 2);
	struct local l AUTO_LOCAL;

	local_init(&l, ctr, "put");
	l.is_quiet = true;
	if (!digest_is_valid(digest))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid checksum digest format: \"%s\"",
			       digest);
	d.media_type = PB(type);
	d.digest = PB(digest);
	if (blob_size(ctr, digest, &d.size, e) < 0 ||
	    registry_to_job(args, &l, ref_complete(ctr, args->v[0]), e) < 0)
		return -1;
	local_one_image(&l, args->v[0], &d);
	if (local_run(&l, -1, e) < 0)
		return -1;
	ctr_print(stdout, "Pushed %s %s\n", digest, type);
	return 0;
}
