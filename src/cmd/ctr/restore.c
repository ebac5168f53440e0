/* ctr containers restore */
#include "cmd/ctr/checkpoint.h"
#include "cmd/ctr/restore_check.h"
#include "cmd/ctr/snapshot_new.h"

#include "base/jsonr.h"

#include <string.h>

const struct flag containers_restore_flags[] = {
	{ "rw", FLAG_BOOL, NULL, "restore the rw layer from the checkpoint" },
	{ "live", FLAG_BOOL, NULL, "restore the runtime and memory data from the checkpoint" },
	{ "allow-host-programs", FLAG_BOOL, NULL,
	  "let the checkpoint name programs and paths of this machine: hooks, the runtime and its "
	  "options" },
	{ NULL },
};

struct restore {
	struct ctr *ctr;
	bool may_name_programs;
	const char *id;
	struct image_doc index;
	const char *image, *runtime, *snapshotter;
};

static const struct oci_descriptor *part(const struct restore *r, const char *media_type)
{
	for (size_t i = 0; i < r->index.n_manifests; i++)
		if (strcmp(r->index.manifests[i].media_type, media_type) == 0)
			return &r->index.manifests[i];
	return NULL;
}

static int read_annotations(struct restore *r, const char *text, size_t n, struct err *e)
{
	const struct {
		const char *key, *missing;
		const char **at;
	} rows[] = {
		{ CHECKPOINT_REF_NAME, "image name not found in index", &r->image },
		{ CHECKPOINT_SNAPSHOTTER, "snapshotter not found in index", &r->snapshotter },
		{ CHECKPOINT_RUNTIME, "runtime not found in index", &r->runtime },
	};
	json_object *o AUTO_JSON = NULL, *l = NULL;

	if (jsonr_parse(text, n, &o, e) < 0 || jsonr_object(o, "annotations", &l, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *value = "";

		if (l && jsonr_string(l, rows[i].key, &value, e) < 0)
			return -1;
		if (!*value)
			return err_set(e, ERR_UNKNOWN, "%s", rows[i].missing);
		*rows[i].at = arena_strdup(r->ctr->arena, value);
	}
	return 0;
}

static int read_index(struct restore *r, const char *ref, struct err *e)
{
	IMAGES(Image) * checkpoint;
	const char *text;
	size_t n;

	if (image_get(r->ctr, ref, &checkpoint, e) < 0)
		return -1;
	if (!checkpoint->target)
		return err_set(e, ERR_INTERNAL, "image %s has no target", ref);
	if (blob_read(r->ctr, checkpoint->target->digest, &text, &n, e) < 0 ||
	    image_doc_parse(r->ctr->arena, checkpoint->target->media_type, text, n, &r->index, e) <
		    0)
		return err_wrap(e, "checkpoint %s", ref);
	if (r->index.kind != IMAGE_INDEX)
		return err_set(e, ERR_INVALID_ARGUMENT, "%s is no checkpoint", ref);
	return read_annotations(r, text, n, e);
}

static void any_free(Google__Protobuf__Any **any)
{
	google__protobuf__any__free_unpacked(*any, NULL);
}

static int read_any(struct restore *r, const struct oci_descriptor *d, Google__Protobuf__Any **ret,
		    struct err *e)
{
	const char *bytes;
	size_t n;

	if (blob_read(r->ctr, d->digest, &bytes, &n, e) < 0)
		return -1;
	*ret = google__protobuf__any__unpack(NULL, n, (const uint8_t *)bytes);
	return *ret ? 0 : err_set(e, ERR_DATA_LOSS, "%s is no Any", d->digest);
}

/* A snapshot of the image that the checkpoint names. */
static int prepare(struct restore *r, SNAPSHOTS(PrepareSnapshotResponse) * *ret, struct err *e)
{
	static const struct labels none;
	struct platform host = platform_host();
	IMAGES(Image) * record;
	struct image image;

	if (image_get(r->ctr, r->image, &record, e) < 0 ||
	    image_load(r->ctr, record, &host, &image, e) < 0 ||
	    image_unpack(r->ctr, &image, r->snapshotter, e) < 0)
		return -1;
	return snapshot_prepare(r->ctr, r->snapshotter, r->id, image.chain_id, &none, ret, e);
}

static int apply_rw(struct restore *r, const SNAPSHOTS(PrepareSnapshotResponse) * root,
		    struct err *e)
{
	Containerd__Services__Diff__V1__ApplyRequest req =
		CONTAINERD__SERVICES__DIFF__V1__APPLY_REQUEST__INIT;
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;
	const struct oci_descriptor *layer = part(r, MEDIA_OCI_LAYER_GZIP);

	if (!layer)
		return err_set(e, ERR_UNKNOWN, "media type not found");
	d.media_type = PB(layer->media_type);
	d.digest = PB(layer->digest);
	d.size = (int64_t)layer->size;
	req.diff = &d;
	req.mounts = root->mounts;
	req.n_mounts = root->n_mounts;
	return CTR_CALL(r->ctr, "diff.v1.Diff/Apply", &req, diff__v1__apply_response, NULL, e);
}

/* What a checkpoint says goes to the daemon as it stands, and it may be a stranger's. */
static int check(const struct restore *r, Google__Protobuf__Any *spec,
		 const Google__Protobuf__Any *options, struct err *e)
{
	char why[RESTORE_WHY];

	if (r->may_name_programs || !restore_names_programs(r->runtime, spec, options, why))
		return 0;
	return err_set(
		e, ERR_FAILED_PRECONDITION,
		"the checkpoint %s, which would run on this machine as root: if its maker is "
		"to be trusted, restore it with --allow-host-programs",
		why);
}

static int create(struct restore *r, CONTAINERS(Container) * *ret, struct err *e)
{
	CONTAINERS(CreateContainerRequest) req = CONTAINERS_INIT(CREATE_CONTAINER_REQUEST);
	CONTAINERS(CreateContainerResponse) * rsp;
	CONTAINERS(Container__Runtime) rt = CONTAINERS_INIT(CONTAINER__RUNTIME);
	CONTAINERS(Container) c = CONTAINERS_INIT(CONTAINER);
	const struct oci_descriptor *options = part(r, CHECKPOINT_RUNTIME_OPTIONS);
	const struct oci_descriptor *config = part(r, CHECKPOINT_CONFIG);
	Google__Protobuf__Any *spec CLEANUP(any_free) = NULL, *with CLEANUP(any_free) = NULL;

	if (!config)
		return err_set(e, ERR_UNKNOWN, "media type not found");
	if (read_any(r, config, &spec, e) < 0)
		return err_wrap(e, "unable to read checkpoint config");
	if (options && read_any(r, options, &with, e) < 0)
		return err_wrap(e, "unable to read checkpoint runtime");
	if (check(r, spec, with, e) < 0)
		return -1;
	c.spec = spec;
	rt.options = with;
	rt.name = PB(r->runtime);
	c.id = PB(r->id);
	c.image = PB(r->image);
	c.runtime = &rt;
	c.snapshotter = PB(r->snapshotter);
	c.snapshot_key = PB(r->id);
	req.container = &c;
	if (CTR_CALL(r->ctr, "containers.v1.Containers/Create", &req,
		     containers__v1__create_container_response, &rsp, e) < 0)
		return -1;
	if (!rsp->container)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a container");
	*ret = rsp->container;
	return 0;
}

/* Container and snapshot; on failure none of both. */
static int restore_container(struct restore *r, bool rw, CONTAINERS(Container) * *ret,
			     struct err *e)
{
	SNAPSHOTS(RemoveSnapshotRequest) remove = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);
	SNAPSHOTS(PrepareSnapshotResponse) * root;
	struct err ignored = { 0 };

	if (prepare(r, &root, e) < 0)
		return -1;
	if ((!rw || apply_rw(r, root, e) == 0) && create(r, ret, e) == 0)
		return 0;
	remove.snapshotter = PB(r->snapshotter);
	remove.key = PB(r->id);
	(void)CTR_CALL_EMPTY(r->ctr, "snapshots.v1.Snapshots/Remove", &remove, &ignored);
	return -1;
}

static int run(struct restore *r, const CONTAINERS(Container) * c, bool live, struct err *e)
{
	Containerd__Types__Descriptor d = CONTAINERD__TYPES__DESCRIPTOR__INIT;
	const struct oci_descriptor *images = part(r, CHECKPOINT_IMAGES);
	static const char *const no_log_options[] = { NULL };
	struct task_options opt = { .log_uri = "",
				    .fifo_dir = "",
				    .pid_file = "",
				    .log_driver = "cri",
				    .log_opts = no_log_options };
	bool tty;

	if (container_has_terminal(c, &tty, e) < 0)
		return -1;
	opt.detach = !tty;
	if (live) {
		if (!images)
			return err_set(e, ERR_UNKNOWN, "media type not found");
		d.media_type = PB(images->media_type);
		d.digest = PB(images->digest);
		d.size = (int64_t)images->size;
		opt.checkpoint = &d;
	}
	return task_run(r->ctr, c, &opt, e);
}

int containers_restore(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct restore r = { .ctr = ctr,
			     .id = args_at(args, 0),
			     .may_name_programs = args_bool(args, "allow-host-programs") };
	CONTAINERS(Container) * c;

	if (!*r.id)
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	if (!*args_at(args, 1))
		return err_set(e, ERR_INVALID_ARGUMENT, "ref must be provided");
	if (ctr_lease(ctr, e) < 0)
		return -1;
	int x = read_index(&r, args->v[1], e);

	if (x == 0)
		x = restore_container(&r, args_bool(args, "rw"), &c, e);
	if (x == 0)
		x = run(&r, c, args_bool(args, "live"), e);
	ctr_lease_done(ctr);
	return x;
}
