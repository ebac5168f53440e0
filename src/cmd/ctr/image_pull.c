/* ctr images pull, ctr images import */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/image_local.h"
#include "cmd/ctr/image_read.h"
#include "cmd/ctr/image_registry.h"
#include "cmd/ctr/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

const struct flag pull_flags[] = {
	{ "label", FLAG_LIST, NULL, "labels to attach to the image" },
	{ "platform", FLAG_LIST, NULL, "Pull content from a specific platform" },
	{ "all-platforms", FLAG_BOOL, NULL, "pull content and metadata from all platforms" },
	{ "all-metadata", FLAG_BOOL, NULL, "the default since ctr 2.1, see --skip-metadata" },
	{ "skip-metadata", FLAG_BOOL, NULL,
	  "Skips metadata for unused platforms (Image may be unable to be pushed without "
	  "metadata)" },
	{ "print-chainid", FLAG_BOOL, NULL, "Print the resulting image's chain ID" },
	{ "max-concurrent-downloads", FLAG_INT, NULL,
	  "Set the max concurrent downloads for each pull (implies --local)", "0" },
	{ "local", FLAG_BOOL, NULL,
	  "Fetch content from local client rather than using transfer service" },
	{ "sync-fs", FLAG_BOOL, NULL,
	  "Synchronize the underlying filesystem containing files when unpack images, false by "
	  "default (implies --local)" },
	{ NULL },
};

const struct flag import_flags[] = {
	{ "base-name", FLAG_STRING, NULL,
	  "base image name for added images, when provided only images with this name prefix are "
	  "imported" },
	{ "digests", FLAG_BOOL, NULL, "whether to create digest images" },
	{ "skip-digest-for-named", FLAG_BOOL, NULL,
	  "skip applying --digests option to images named in the importing tar (use it in "
	  "conjunction "
	  "with --digests)" },
	{ "index-name", FLAG_STRING, NULL,
	  "image name to keep index as, by default index is discarded" },
	{ "all-platforms", FLAG_BOOL, NULL, "imports content for all platforms, false by default" },
	{ "platform", FLAG_LIST, NULL, "imports content for specific platform" },
	{ "no-unpack", FLAG_BOOL, NULL, "skip unpacking the images, false by default" },
	{ "compress-blobs", FLAG_BOOL, NULL,
	  "compress uncompressed blobs when creating manifest (Docker format only)" },
	{ "local", FLAG_BOOL, NULL, "run import locally rather than through transfer API" },
	{ "discard-unpacked-layers", FLAG_BOOL, NULL,
	  "allow the garbage collector to clean layers up from the content store after "
	  "unpacking, cannot be used with --no-unpack, false by default (implies --local)" },
	{ "sync-fs", FLAG_BOOL, NULL,
	  "synchronize the underlying filesystem containing files when unpack images, false by "
	  "default (implies --local)" },
	{ "label", FLAG_LIST, NULL, "labels to attach to the image" },
	{ NULL },
};

static Containerd__Types__Platform *platform_pb(struct arena *a, const struct platform *p)
{
	Containerd__Types__Platform *pb = ARENA_NEW(a, Containerd__Types__Platform);

	containerd__types__platform__init(pb);
	pb->os = arena_strdup(a, p->os);
	pb->architecture = arena_strdup(a, p->arch);
	pb->variant = arena_strdup(a, p->variant);
	return pb;
}

int platforms_wanted(const struct args *args, Containerd__Types__Platform ***ret, size_t *ret_n,
		     struct err *e)
{
	const char *const *words = args_list(args, "platform", ret_n);
	struct platform p;

	*ret = arena_array(args->arena, *ret_n, sizeof **ret);
	for (size_t i = 0; i < *ret_n; i++) {
		if (platform_parse(words[i], &p, e) < 0)
			return -1;
		(*ret)[i] = platform_pb(args->arena, &p);
	}
	return 0;
}

/* The platforms to keep and those to unpack (the host's, or the ones that were asked for). */
static int set_platforms(const struct args *args, ImageStore *store, bool unpack,
			 const char *snapshotter, struct err *e)
{
	size_t n, wanted;
	const char *const *words = args_list(args, "platform", &wanted);
	struct arena *a = args->arena;
	Containerd__Types__Platform **v;

	n = wanted ? wanted : 1;
	v = arena_array(a, n, sizeof *v);
	store->unpacks = arena_array(a, n, sizeof *store->unpacks);
	for (size_t i = 0; i < n; i++) {
		struct platform p = platform_host();

		if (wanted && platform_parse(words[i], &p, e) < 0)
			return -1;
		v[i] = platform_pb(a, &p);
		store->unpacks[i] = arena_alloc(a, sizeof **store->unpacks);
		containerd__types__transfer__unpack_configuration__init(store->unpacks[i]);
		store->unpacks[i]->platform = v[i];
		store->unpacks[i]->snapshotter = PB(snapshotter);
	}
	store->n_unpacks = unpack ? n : 0;
	if (!args_bool(args, "all-platforms")) {
		store->platforms = v;
		store->n_platforms = n;
	}
	return 0;
}

static void set_labels(const struct args *args, ImageStore *store)
{
	struct labels l = { 0 };
	size_t n;
	const char *const *words = args_list(args, "label", &n);

	labels_parse(args->arena, words, n, &l);
	store->n_labels = l.n;
	store->labels = (void *)labels_to_pb(
		args->arena, &l,
		&containerd__types__transfer__image_store__labels_entry__descriptor);
}

static int pull(struct ctr *ctr, const struct args *args, const char *ref, struct err *e)
{
	Containerd__Types__Transfer__OCIRegistry source =
		CONTAINERD__TYPES__TRANSFER__OCIREGISTRY__INIT;
	ImageStore store = CONTAINERD__TYPES__TRANSFER__IMAGE_STORE__INIT;
	struct transfer *t AUTO_TRANSFER = NULL;

	if (transfer_new(ctr, &t, e) < 0 || registry_from_flags(args, t, ref, &source, e) < 0)
		return -1;
	set_labels(args, &store);
	store.name = PB(ref);
	store.all_metadata = !args_bool(args, "skip-metadata");
	if (set_platforms(args, &store, true, args_string(args, "snapshotter"), e) < 0)
		return -1;
	return transfer_run(t, &source, &store, e);
}

static int print_chain_id(struct ctr *ctr, const char *ref, struct err *e)
{
	struct platform host = platform_host();
	IMAGES(Image) * record;
	struct image img;

	if (image_get(ctr, ref, &record, e) < 0 || image_load(ctr, record, &host, &img, e) < 0)
		return -1;
	ctr_print(stdout, "image chain ID: %s\n", img.chain_id);
	return 0;
}

/* Asked for, or by an option that the Transfer service has no field for. */
static bool pull_is_local(const struct args *args)
{
	return args_bool(args, "local") || args_int(args, "max-concurrent-downloads") ||
	       args_bool(args, "sync-fs") || registry_needs_local(args);
}

/* After a daemon's answer that it has no Transfer service. */
static int pull_instead(struct ctr *ctr, const struct args *args, const char *ref, struct err *e)
{
	err_clear(e);
	return images_pull_local(ctr, args, ref, e);
}

int images_pull(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *ref = ref_complete(ctr, args_at(args, 0));
	size_t n;
	int r;

	if (!*ref)
		return err_set(e, ERR_UNKNOWN, "please provide an image reference to pull");
	if (args->n > 1)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "one reference at a time: \"%s\" is one too many (options go before "
			       "the reference)",
			       args->v[1]);
	args_list(args, "platform", &n);
	if (n && args_bool(args, "all-platforms"))
		return err_set(e, ERR_UNKNOWN,
			       "cannot specify both --platform and --all-platforms");
	if (ctr_lease(ctr, e) < 0)
		return -1;
	if (pull_is_local(args)) {
		r = images_pull_local(ctr, args, ref, e);
	} else {
		r = pull(ctr, args, ref, e);
		if (r == 0 && args_bool(args, "print-chainid"))
			r = print_chain_id(ctr, ref, e);
		if (r < 0 && ctr->no_transfer)
			r = pull_instead(ctr, args, ref, e);
	}
	ctr_lease_done(ctr);
	return r;
}

typedef Containerd__Types__Transfer__ImageReference ImageReference;

/* What an archive's images are called that it gives a tag alone: as the original does. */
const char *import_prefix(struct arena *a)
{
	struct timespec now;
	struct tm day;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &day);
	return arena_printf(a, "import-%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1,
			    day.tm_mday);
}

/* What names the images get that the archive holds. */
static void set_names(const struct args *args, ImageStore *store)
{
	const char *base = args_string(args, "base-name");
	ImageReference *refs = arena_array(args->arena, 2, sizeof *refs);
	bool has_base = *base;

	if (!has_base)
		base = import_prefix(args->arena);
	store->extra_references = arena_array(args->arena, 2, sizeof *store->extra_references);
	for (size_t i = 0; i < 2; i++) {
		containerd__types__transfer__image_reference__init(&refs[i]);
		store->extra_references[i] = &refs[i];
		refs[i].name = PB(base);
		refs[i].is_prefix = true;
		refs[i].allow_overwrite = !has_base;
	}
	store->n_extra_references = 1;
	if (args_bool(args, "digests")) {
		refs[1].add_digest = true;
		refs[1].skip_named_digest = args_bool(args, "skip-digest-for-named");
		store->n_extra_references = 2;
	}
	store->name = PB(args_string(args, "index-name"));
}

static int import_from(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	Containerd__Types__Transfer__ImageImportStream source =
		CONTAINERD__TYPES__TRANSFER__IMAGE_IMPORT_STREAM__INIT;
	ImageStore store = CONTAINERD__TYPES__TRANSFER__IMAGE_STORE__INIT;
	struct transfer *t AUTO_TRANSFER = NULL;
	const char *id;

	if (transfer_new(ctr, &t, e) < 0 || transfer_offer_bytes(t, fd, &id, e) < 0)
		return -1;
	source.stream = PB(id);
	source.force_compress = args_bool(args, "compress-blobs");
	set_names(args, &store);
	set_labels(args, &store);
	if (set_platforms(args, &store, !args_bool(args, "no-unpack"),
			  args_string(args, "snapshotter"), e) < 0)
		return -1;
	return transfer_run(t, &source, &store, e);
}

static bool import_is_local(const struct args *args)
{
	return args_bool(args, "local") || args_bool(args, "discard-unpacked-layers") ||
	       args_bool(args, "sync-fs");
}

static int check_import(const struct args *args, struct err *e)
{
	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN,
			       "please provide the path of an archive to import (\"-\": "
			       "the standard input)");
	if (args_bool(args, "skip-digest-for-named") && !args_bool(args, "digests"))
		return err_set(e, ERR_UNKNOWN,
			       "--skip-digest-for-named must be specified with --digests option");
	if (args_bool(args, "discard-unpacked-layers") && args_bool(args, "no-unpack"))
		return err_set(e, ERR_UNKNOWN,
			       "--discard-unpacked-layers and --no-unpack are incompatible "
			       "options");
	return 0;
}

static int import(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	if (import_is_local(args))
		return images_import_local(ctr, args, fd, e);
	if (import_from(ctr, args, fd, e) == 0)
		return 0;
	if (!ctr->no_transfer)
		return -1;
	err_clear(e);
	return images_import_local(ctr, args, fd, e);
}

int images_import(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *path = args_at(args, 0);
	int fd AUTO_FD = -1, r;

	if (check_import(args, e) < 0)
		return -1;
	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(e, errno, "open %s", path);
	}
	if (ctr_lease(ctr, e) < 0)
		return -1;
	r = import(ctr, args, fd < 0 ? STDIN_FILENO : fd, e);
	ctr_lease_done(ctr);
	return r;
}
