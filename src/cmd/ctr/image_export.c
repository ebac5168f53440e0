/* ctr images export: by the daemon's transfer service, into a file or the standard output. */
#include "cmd/ctr/cmd_images.h"
#include "cmd/ctr/image_local.h"
#include "cmd/ctr/image_read.h"
#include "cmd/ctr/transfer.h"

#include <errno.h>
#include <fcntl.h>

const struct flag export_flags[] = {
	{ "skip-manifest-json", FLAG_BOOL, NULL,
	  "do not add Docker compatible manifest.json to archive" },
	{ "skip-non-distributable", FLAG_BOOL, NULL,
	  "do not add non-distributable blobs such as Windows layers to archive" },
	{ "platform", FLAG_LIST, NULL, "pull content from a specific platform" },
	{ "all-platforms", FLAG_BOOL, NULL, "exports content from all platforms" },
	{ "local", FLAG_BOOL, NULL, "run export locally rather than through transfer API" },
	{ NULL },
};

static int set_images(struct ctr *ctr, const struct args *args, ImageStore *store, struct err *e)
{
	size_t n = args->n - 1;
	typedef Containerd__Types__Transfer__ImageReference reference;
	reference *refs = arena_array(ctr->arena, n, sizeof *refs);

	store->extra_references = arena_array(ctr->arena, n, sizeof *store->extra_references);
	store->n_extra_references = n;
	for (size_t i = 0; i < n; i++) {
		IMAGES(Image) * stored;

		if (image_get(ctr, args->v[i + 1], &stored, e) < 0)
			return -1;
		containerd__types__transfer__image_reference__init(&refs[i]);
		refs[i].name = stored->name;
		store->extra_references[i] = &refs[i];
	}
	return 0;
}

static int export_by_daemon(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	Containerd__Types__Transfer__ImageExportStream dest =
		CONTAINERD__TYPES__TRANSFER__IMAGE_EXPORT_STREAM__INIT;
	ImageStore store = CONTAINERD__TYPES__TRANSFER__IMAGE_STORE__INIT;
	struct transfer *t AUTO_TRANSFER = NULL;
	const char *id;

	if (set_images(ctr, args, &store, e) < 0 ||
	    platforms_wanted(args, &dest.platforms, &dest.n_platforms, e) < 0 ||
	    transfer_new(ctr, &t, e) < 0 || transfer_take_bytes(t, fd, &id, e) < 0)
		return -1;
	dest.stream = PB(id);
	dest.all_platforms = args_bool(args, "all-platforms");
	dest.skip_compatibility_manifest = args_bool(args, "skip-manifest-json");
	dest.skip_non_distributable = args_bool(args, "skip-non-distributable");
	return transfer_run(t, &store, &dest, e);
}

static int export_to(struct ctr *ctr, const struct args *args, int fd, struct err *e)
{
	if (args_bool(args, "local"))
		return images_export_local(ctr, args, fd, e);
	if (export_by_daemon(ctr, args, fd, e) == 0)
		return 0;
	if (!ctr->no_transfer)
		return -1;
	err_clear(e);
	return images_export_local(ctr, args, fd, e);
}

int images_export(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *path = args_at(args, 0);
	int fd AUTO_FD = -1;

	if (!*path || !*args_at(args, 1))
		return err_set(e, ERR_UNKNOWN,
			       "please provide both an output filename and an image reference to "
			       "export");
	if (strcmp(path, "-") == 0)
		return export_to(ctr, args, STDOUT_FILENO, e);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	if (export_to(ctr, args, fd, e) < 0) {
		(void)unlink(path); /* a part of an archive is none */
		return -1;
	}
	return 0;
}
