/* ctr snapshots: what makes or changes one. */
#include "cmd/ctr/cmd_snapshots.h"

#include "cmd/ctr/container.h"
#include "cmd/ctr/json_print.h"
#include "cmd/ctr/snapshot_new.h"

#include "base/timefmt.h"
#include "oci/image.h"

#include <time.h>

const struct flag make_flags[] = {
	{ "target", FLAG_STRING, "t", "mount target path, will print mount, if provided" },
	{ "mounts", FLAG_BOOL, NULL, "Print out snapshot mounts as JSON" },
	{ NULL },
};

const struct flag diff_flags[] = {
	{ .name = "media-type",
	  .type = FLAG_STRING,
	  .help = "media type to use for creating diff",
	  .def = MEDIA_OCI_LAYER_GZIP },
	{ "ref", FLAG_STRING, NULL, "content upload reference to use" },
	{ "keep", FLAG_BOOL, NULL, "keep diff content. up to creator to delete it." },
	{ "label", FLAG_LIST, NULL, "labels to attach to the image" },
	{ NULL },
};

const struct flag unpack_flags[] = {
	{ "sync-fs", FLAG_BOOL, NULL,
	  "synchronize the underlying filesystem containing files when unpack images, false by "
	  "default" },
	{ NULL },
};

/* Mounts of a snapshot, to be given back by mounted_done(). */
struct mounted {
	Containerd__Types__Mount **v;
	size_t n;
	char *view; /* made for it; NULL: none */
};

void mounts_print(Containerd__Types__Mount **v, size_t n, const char *target)
{
	for (size_t i = 0; i < n; i++) {
		ctr_print(stdout, "mount -t %s %s %s", v[i]->type, v[i]->source, target);
		for (size_t k = 0; k < v[i]->n_options; k++)
			ctr_print(stdout, "%s%s", k ? "," : " -o ", v[i]->options[k]);
		putchar('\n');
	}
}

static void mounts_json(Containerd__Types__Mount **v, size_t n)
{
	struct str out AUTO_STR = STR_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(&w);
		jsonw_kstring(&w, "Type", v[i]->type);
		jsonw_kstring(&w, "Source", v[i]->source);
		jsonw_kstring(&w, "Target", v[i]->target);
		jsonw_key(&w, "Options");
		jsonw_array(&w);
		for (size_t k = 0; k < v[i]->n_options; k++)
			jsonw_string(&w, v[i]->options[k]);
		jsonw_end(&w);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	puts(str_c(&out));
}

static void show_mounts(const struct args *args, Containerd__Types__Mount **v, size_t n)
{
	const char *target = args_string(args, "target");

	if (*target)
		mounts_print(v, n, target);
	if (args_bool(args, "mounts"))
		mounts_json(v, n);
}

/* What is made by hand stays until it is removed by hand. */
static struct labels keep_label(struct ctr *ctr)
{
	char now[TIMEFMT_MAX];
	struct labels l = { 0 };
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	labels_add(ctr->arena, &l, "containerd.io/gc.root", timefmt_rfc3339(t, now));
	return l;
}

static int wants_key(const struct args *args, struct err *e)
{
	if (args->n < 1 || args->n > 2)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot key must be provided");
	return 0;
}

int snapshots_prepare(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(PrepareSnapshotResponse) * rsp;
	struct labels l = keep_label(ctr);

	if (wants_key(args, e) < 0 || snapshot_prepare(ctr, snapshotter_of(args), args->v[0],
						       args_at(args, 1), &l, &rsp, e) < 0)
		return -1;
	show_mounts(args, rsp->mounts, rsp->n_mounts);
	return 0;
}

int snapshots_view(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(ViewSnapshotResponse) * rsp;
	struct labels l = keep_label(ctr);

	if (wants_key(args, e) < 0 ||
	    snapshot_view(ctr, snapshotter_of(args), args->v[0], args_at(args, 1), &l, &rsp, e) < 0)
		return -1;
	show_mounts(args, rsp->mounts, rsp->n_mounts);
	return 0;
}

int snapshots_commit(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(CommitSnapshotRequest) req = SNAPSHOTS_INIT(COMMIT_SNAPSHOT_REQUEST);
	struct labels l = keep_label(ctr);

	if (args->n != 2)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "a name and the key of an active snapshot must be provided");
	req.snapshotter = PB(snapshotter_of(args));
	req.name = PB(args->v[0]);
	req.key = PB(args->v[1]);
	req.n_labels = l.n;
	req.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__snapshots__v1__commit_snapshot_request__labels_entry__descriptor);
	return CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Commit", &req, e);
}

int snapshots_label(struct ctr *ctr, const struct args *args, struct err *e)
{
	SNAPSHOTS(UpdateSnapshotRequest) req = SNAPSHOTS_INIT(UPDATE_SNAPSHOT_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	SNAPSHOTS(UpdateSnapshotResponse) * rsp;
	SNAPSHOTS(Info) info = SNAPSHOTS_INIT(INFO);
	struct labels l = { 0 };

	if (!args->n)
		return err_set(e, ERR_UNKNOWN, "please specify a snapshot");
	labels_parse(ctr->arena, args->v + 1, args->n - 1, &l);
	info.name = PB(args->v[0]);
	info.n_labels = l.n;
	info.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__snapshots__v1__info__labels_entry__descriptor);
	mask.paths = labels_mask(ctr->arena, &l);
	mask.n_paths = l.n;
	req.snapshotter = PB(snapshotter_of(args));
	req.info = &info;
	req.update_mask = &mask;
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Update", &req,
		     snapshots__v1__update_snapshot_response, &rsp, e) < 0)
		return -1;
	if (rsp->info) {
		labels_from_pb(ctr->arena, rsp->info->labels, rsp->info->n_labels, &l);
		ctr_puts(ctr, labels_text(ctr->arena, &l));
	}
	return 0;
}

static int stat_snapshot(struct ctr *ctr, const struct args *args, const char *key,
			 SNAPSHOTS(Info) * *ret, struct err *e)
{
	SNAPSHOTS(StatSnapshotRequest) req = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);
	SNAPSHOTS(StatSnapshotResponse) * rsp;

	req.snapshotter = PB(snapshotter_of(args));
	req.key = PB(key);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &req,
		     snapshots__v1__stat_snapshot_response, &rsp, e) < 0)
		return -1;
	*ret = rsp->info;
	return *ret ? 0 : err_set(e, ERR_INTERNAL, "the daemon answered without snapshot %s", key);
}

/* An active one's own mounts; a committed one's through a view of it; "" is nothing. */
static int mount_of(struct ctr *ctr, const struct args *args, const char *key, struct mounted *ret,
		    struct err *e)
{
	SNAPSHOTS(MountsRequest) req = SNAPSHOTS_INIT(MOUNTS_REQUEST);
	const struct labels none = { 0 };
	SNAPSHOTS(ViewSnapshotResponse) * view;
	SNAPSHOTS(MountsResponse) * rsp;
	SNAPSHOTS(Info) * info;

	*ret = (struct mounted){ 0 };
	if (!*key)
		return 0;
	if (stat_snapshot(ctr, args, key, &info, e) < 0)
		return -1;
	if (info->kind == CONTAINERD__SERVICES__SNAPSHOTS__V1__KIND__COMMITTED) {
		char *name = ctr_unique(ctr, "diff-view-");

		if (snapshot_view(ctr, snapshotter_of(args), name, key, &none, &view, e) < 0)
			return -1;
		*ret = (struct mounted){ view->mounts, view->n_mounts, name };
		return 0;
	}
	req.snapshotter = PB(snapshotter_of(args));
	req.key = PB(key);
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Mounts", &req, snapshots__v1__mounts_response,
		     &rsp, e) < 0)
		return -1;
	*ret = (struct mounted){ rsp->mounts, rsp->n_mounts, NULL };
	return 0;
}

static void mounted_done(struct ctr *ctr, const struct args *args, const struct mounted *m)
{
	SNAPSHOTS(RemoveSnapshotRequest) req = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);
	struct err e = { 0 };

	if (!m->view)
		return;
	req.snapshotter = PB(snapshotter_of(args));
	req.key = m->view;
	if (CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &req, &e) < 0)
		ctr_warn("cannot remove view %s: %s", m->view, e.msg);
}

static int compare(struct ctr *ctr, const struct args *args, const struct mounted *left,
		   const struct mounted *right, struct err *e)
{
	Containerd__Services__Diff__V1__DiffRequest req =
		CONTAINERD__SERVICES__DIFF__V1__DIFF_REQUEST__INIT;
	Containerd__Services__Diff__V1__DiffResponse *rsp;
	struct labels l = { 0 };
	size_t n;
	const char *const *words = args_list(args, "label", &n);
	char now[TIMEFMT_MAX];
	struct timespec t;

	labels_parse(ctr->arena, words, n, &l);
	clock_gettime(CLOCK_REALTIME, &t);
	if (args_bool(args, "keep"))
		labels_add(ctr->arena, &l, "containerd.io/gc.root", timefmt_rfc3339(t, now));
	req.left = left->v;
	req.n_left = left->n;
	req.right = right->v;
	req.n_right = right->n;
	req.media_type = PB(args_string(args, "media-type"));
	req.ref = PB(args_string(args, "ref"));
	req.n_labels = l.n;
	req.labels = (void *)labels_to_pb(
		ctr->arena, &l,
		&containerd__services__diff__v1__diff_request__labels_entry__descriptor);
	if (CTR_CALL(ctr, "diff.v1.Diff/Diff", &req, diff__v1__diff_response, &rsp, e) < 0)
		return -1;
	if (!rsp->diff)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a layer");
	return blob_print(ctr, rsp->diff->digest, e);
}

static int diff(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct mounted left = { 0 }, right;
	const char *from = args_at(args, 0), *to = args_at(args, 1);
	SNAPSHOTS(Info) * info;

	if (!*to) { /* against the parent */
		to = from;
		if (stat_snapshot(ctr, args, to, &info, e) < 0)
			return -1;
		from = info->parent;
	}
	if (mount_of(ctr, args, from, &left, e) < 0)
		return -1;
	int r = mount_of(ctr, args, to, &right, e);

	if (r == 0) {
		r = compare(ctr, args, &left, &right, e);
		mounted_done(ctr, args, &right);
	}
	mounted_done(ctr, args, &left);
	return r;
}

int snapshots_diff(struct ctr *ctr, const struct args *args, struct err *e)
{
	if (args->n < 1 || args->n > 2)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot id must be provided");
	if (ctr_lease(ctr, e) < 0) /* holds the views and the layer while they are used */
		return -1;
	fflush(stdout);
	int r = diff(ctr, args, e);

	ctr_lease_done(ctr);
	return r;
}

/* The image whose manifest or index has that digest. */
static int image_of_digest(struct ctr *ctr, const char *digest, IMAGES(Image) * *ret, struct err *e)
{
	IMAGES(ListImagesRequest) req = IMAGES_INIT(LIST_IMAGES_REQUEST);
	char *filter = arena_printf(ctr->arena, "target.digest==\"%s\"", digest);
	IMAGES(ListImagesResponse) * rsp;

	req.filters = &filter;
	req.n_filters = 1;
	if (CTR_CALL(ctr, "images.v1.Images/List", &req, images__v1__list_images_response, &rsp,
		     e) < 0)
		return err_wrap(e, "failed to list images");
	if (!rsp->n_images)
		return err_set(e, ERR_NOT_FOUND, "manifest not found");
	*ret = rsp->images[0];
	return 0;
}

int snapshots_unpack(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct platform host = platform_host();
	IMAGES(Image) * record;
	struct image img;

	if (args->n != 1)
		return err_set(e, ERR_INVALID_ARGUMENT, "a manifest's digest must be provided");
	if (image_of_digest(ctr, args->v[0], &record, e) < 0 || ctr_lease(ctr, e) < 0)
		return -1;
	ctr_print(stdout, "unpacking %s (%s)...", record->name, args->v[0]);
	fflush(stdout);
	int r = image_load(ctr, record, &host, &img, e);

	if (r == 0)
		r = image_unpack_sync(ctr, &img, snapshotter_of(args), args_bool(args, "sync-fs"),
				      e);
	ctr_lease_done(ctr);
	puts(r < 0 ? "" : "done");
	return r;
}
