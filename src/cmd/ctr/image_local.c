#include "cmd/ctr/image_local.h"

#include "cmd/ctr/container.h"

#include "base/ident.h"
#include "oci/platform.h"

#include <time.h>

int image_fetch(struct ctr *ctr, const struct args *args, const char *ref, enum fetch_what what,
		uint64_t max_downloads, IMAGES(Image) * *ret, struct err *e)
{
	struct local l AUTO_LOCAL;
	struct labels labels = { 0 };
	size_t n;
	const char *const *words = args_list(args, "label", &n);

	labels_parse(ctr->arena, words, n, &labels);
	local_init(&l, ctr, "pull");
	if (registry_to_job(args, &l, ref, e) < 0 || local_platforms_from_flags(&l, args, e) < 0)
		return -1;
	jsonw_kbool(&l.job, "all_metadata", what != FETCH_WITHOUT_METADATA);
	jsonw_kbool(&l.job, "metadata_only", what == FETCH_METADATA_ONLY);
	jsonw_ku64(&l.job, "max_downloads", max_downloads);
	if (local_run(&l, -1, e) < 0)
		return -1;
	if (l.n_images != 1)
		return err_set(e, ERR_INTERNAL, "the transfer worker fetched %zu images",
			       l.n_images);
	if (image_put(ctr, ref, &l.images[0].target, &labels, e) < 0)
		return -1;
	return image_get(ctr, ref, ret, e);
}

/* --- pull --- */

struct platforms {
	struct platform *v;
	size_t n;
};

/* What is unpacked: --platform, all of the image's, or the host's. */
static int to_unpack(struct ctr *ctr, const struct args *args, const IMAGES(Image) * record,
		     struct platforms *ret, struct err *e)
{
	size_t n;
	const char *const *words = args_list(args, "platform", &n);
	const char *all = "";

	if (args_bool(args, "all-platforms") && image_platforms(ctr, record, &all, e) < 0)
		return -1;
	if (n) {
		ret->v = arena_array(ctr->arena, n, sizeof *ret->v);
		for (; ret->n < n; ret->n++)
			if (platform_parse(words[ret->n], &ret->v[ret->n], e) < 0)
				return -1;
		return 0;
	}
	ret->v = arena_array(ctr->arena, strlen(all) / 2 + 1, sizeof *ret->v);
	for (size_t k; *all && strcmp(all, "-") != 0; all += k + (all[k] == ',')) {
		k = strcspn(all, ",");
		if (platform_parse(arena_strndup(ctr->arena, all, k), &ret->v[ret->n++], e) < 0)
			return -1;
	}
	if (!ret->n)
		ret->v[ret->n++] = platform_host();
	return 0;
}

static int unpack(struct ctr *ctr, const struct args *args, const IMAGES(Image) * record,
		  const struct platform *p, struct err *e)
{
	char text[PLATFORM_TEXT];
	struct image img;

	ctr_print(stdout, "unpacking %s %s...\n", platform_text(p, text), record->target->digest);
	fflush(stdout);
	if (image_load(ctr, record, p, &img, e) < 0 ||
	    image_unpack_sync(ctr, &img, snapshotter_of(args), args_bool(args, "sync-fs"), e) < 0)
		return -1;
	if (args_bool(args, "print-chainid"))
		ctr_print(stdout, "image chain ID: %s\n", img.chain_id);
	return 0;
}

/* As Go writes it, in a unit that fits. */
static void print_done(const struct timespec *since)
{
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (double)(now.tv_sec - since->tv_sec) * 1e3 +
	     (double)(now.tv_nsec - since->tv_nsec) / 1e6;
	if (ms < 1000)
		printf("done: %.6gms\t\n", ms);
	else
		printf("done: %.9gs\t\n", ms / 1e3);
}

int images_pull_local(struct ctr *ctr, const struct args *args, const char *ref, struct err *e)
{
	int64_t max = args_int(args, "max-concurrent-downloads");
	enum fetch_what what =
		args_bool(args, "skip-metadata") ? FETCH_WITHOUT_METADATA : FETCH_ALL;
	struct platforms p = { 0 };
	struct timespec start;
	IMAGES(Image) * record;

	if (max < 0 || max > 1000)
		return err_set(e, ERR_INVALID_ARGUMENT, "--max-concurrent-downloads %lld",
			       (long long)max);
	if (image_fetch(ctr, args, ref, what, (uint64_t)max, &record, e) < 0 ||
	    to_unpack(ctr, args, record, &p, e) < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < p.n; i++)
		if (unpack(ctr, args, record, &p.v[i], e) < 0)
			return -1;
	print_done(&start);
	return 0;
}

/* --- push --- */

int blob_size(struct ctr *ctr, const char *digest, int64_t *ret, struct err *e)
{
	CONTENT(InfoRequest) req = CONTENT_INIT(INFO_REQUEST);
	CONTENT(InfoResponse) * rsp;

	req.digest = PB(digest);
	if (CTR_CALL(ctr, "content.v1.Content/Info", &req, content__v1__info_response, &rsp, e) < 0)
		return -1;
	*ret = rsp->info ? rsp->info->size : 0;
	return 0;
}

/* --manifest, or the target of the image that has the second argument's name or the first's. */
static int set_pushed(struct ctr *ctr, const struct args *args, const char *ref, struct local *l,
		      struct err *e)
{
	const char *manifest = args_string(args, "manifest");
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;
	IMAGES(Image) * stored;

	if (*manifest) {
		if (!digest_is_valid(manifest))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid manifest digest: invalid checksum digest format");
		d.media_type = PB(args_string(args, "manifest-type"));
		d.digest = PB(manifest);
		if (blob_size(ctr, manifest, &d.size, e) < 0)
			return -1;
		local_one_image(l, ref, &d);
		return 0;
	}
	if (image_get(ctr, *args_at(args, 1) ? args_at(args, 1) : ref, &stored, e) < 0)
		return err_wrap(e, "unable to resolve image to manifest");
	local_one_image(l, stored->name, stored->target);
	return 0;
}

int images_push_local(struct ctr *ctr, const struct args *args, const char *ref, struct err *e)
{
	struct local l AUTO_LOCAL;
	size_t n;
	const char *const *words = args_list(args, "platform", &n);

	local_init(&l, ctr, "push");
	if (registry_to_job(args, &l, ref, e) < 0 || set_pushed(ctr, args, ref, &l, e) < 0 ||
	    local_platforms(&l, words, n, false, e) < 0)
		return -1;
	jsonw_kbool(&l.job, "allow_nondistributable",
		    args_bool(args, "allow-non-distributable-blobs"));
	jsonw_ku64(&l.job, "max_downloads",
		   (uint64_t)args_int(args, "max-concurrent-uploaded-layers"));
	return local_run(&l, -1, e);
}
