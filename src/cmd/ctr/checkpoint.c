/* ctr tasks checkpoint, ctr containers checkpoint */
#include "cmd/ctr/checkpoint.h"

#include "cmd/ctr/blob_write.h"

#include "base/jsonw.h"
#include "os/fd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { PARTS_MAX = 8, INDEX_MAX = 1 << 20 };

const struct flag tasks_checkpoint_flags[] = {
	{ "exit", FLAG_BOOL, NULL, "stop the container after the checkpoint" },
	{ "image-path", FLAG_STRING, NULL, "path to criu image files" },
	{ "work-path", FLAG_STRING, NULL, "path to criu work files and logs" },
	{ NULL },
};

const struct flag containers_checkpoint_flags[] = {
	{ "rw", FLAG_BOOL, NULL, "include the rw layer in the checkpoint" },
	{ "image", FLAG_BOOL, NULL, "include the image in the checkpoint" },
	{ "task", FLAG_BOOL, NULL, "checkpoint container task" },
	{ NULL },
};

struct part {
	const Containerd__Types__Descriptor *d;
	bool has_platform;
};

struct checkpoint {
	struct ctr *ctr;
	const CONTAINERS(Container) * c;
	struct part parts[PARTS_MAX];
	size_t n;
	struct labels annotations;
};

static void add(struct checkpoint *k, const Containerd__Types__Descriptor *d, bool has_platform)
{
	if (k->n < PARTS_MAX)
		k->parts[k->n++] = (struct part){ d, has_platform };
}

/* A document of ours as a blob. */
static int write_blob(struct ctr *ctr, const char *media_type, const char *ref, const void *bytes,
		      size_t n, const struct labels *l, Containerd__Types__Descriptor **ret,
		      struct err *e)
{
	Containerd__Types__Descriptor *d = ARENA_NEW(ctr->arena, Containerd__Types__Descriptor);
	struct blob_source from = { .ref = ref, .size = n, .labels = l };
	AUTO_FD int fd = -1;
	const char *digest;
	int r;

	if (blob_scratch(&fd, e) < 0)
		return -1;
	r = fd_write_all(fd, bytes, n);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, r < 0 ? -r : errno, "write a temporary file");
	from.fd = fd;
	if (blob_write(ctr, &from, &digest, e) < 0)
		return err_wrap(e, "failed to write %s", ref);
	containerd__types__descriptor__init(d);
	d->media_type = PB(media_type);
	d->digest = PB(digest);
	d->size = (int64_t)n;
	*ret = d;
	return 0;
}

static int write_message(struct checkpoint *k, const char *media_type, const char *ref,
			 const ProtobufCMessage *m, struct err *e)
{
	const struct labels none = { 0 };
	size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = arena_alloc(k->ctr->arena, n + 1);
	Containerd__Types__Descriptor *d;

	(void)protobuf_c_message_pack(m, bytes);
	if (write_blob(k->ctr, media_type, ref, bytes, n, &none, &d, e) < 0)
		return -1;
	add(k, d, true);
	return 0;
}

/* --- what a checkpoint is made of --- */

static int add_image(struct checkpoint *k, struct err *e)
{
	IMAGES(Image) * image;

	if (image_get(k->ctr, k->c->image, &image, e) < 0)
		return -1;
	add(k, image->target, false);
	return 0;
}

/* What the container wrote: its snapshot against the one it was made from. */
static int add_rw(struct checkpoint *k, struct err *e)
{
	Containerd__Services__Diff__V1__DiffRequest req =
		CONTAINERD__SERVICES__DIFF__V1__DIFF_REQUEST__INIT;
	SNAPSHOTS(StatSnapshotRequest) stat = SNAPSHOTS_INIT(STAT_SNAPSHOT_REQUEST);
	SNAPSHOTS(ViewSnapshotRequest) view = SNAPSHOTS_INIT(VIEW_SNAPSHOT_REQUEST);
	SNAPSHOTS(RemoveSnapshotRequest) remove = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);
	Containerd__Services__Diff__V1__DiffResponse *rsp;
	SNAPSHOTS(StatSnapshotResponse) * info;
	SNAPSHOTS(ViewSnapshotResponse) * lower;
	SNAPSHOTS(MountsResponse) * upper;
	struct ctr *ctr = k->ctr;
	struct err ignored = { 0 };

	stat.snapshotter = k->c->snapshotter;
	stat.key = k->c->snapshot_key;
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/Stat", &stat,
		     snapshots__v1__stat_snapshot_response, &info, e) < 0 ||
	    container_mounts(ctr, k->c, &upper, e) < 0)
		return -1;
	view.snapshotter = remove.snapshotter = k->c->snapshotter;
	view.key = remove.key = ctr_unique(ctr, "checkpoint-view-");
	view.parent = info->info ? info->info->parent : PB("");
	if (CTR_CALL(ctr, "snapshots.v1.Snapshots/View", &view,
		     snapshots__v1__view_snapshot_response, &lower, e) < 0)
		return -1;
	req.left = lower->mounts;
	req.n_left = lower->n_mounts;
	req.right = upper->mounts;
	req.n_right = upper->n_mounts;
	req.ref = arena_printf(ctr->arena, "checkpoint-rw-%s", k->c->snapshot_key);
	int r = CTR_CALL(ctr, "diff.v1.Diff/Diff", &req, diff__v1__diff_response, &rsp, e);

	if (CTR_CALL_EMPTY(ctr, "snapshots.v1.Snapshots/Remove", &remove, &ignored) < 0)
		ctr_warn("cannot remove view %s: %s", view.key, ignored.msg);
	if (r < 0)
		return -1;
	if (!rsp->diff)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a layer");
	add(k, rsp->diff, true);
	return 0;
}

static Google__Protobuf__Any *pack_options(struct ctr *ctr,
					   const Containerd__Runc__V1__CheckpointOptions *o)
{
	Google__Protobuf__Any *any = ARENA_NEW(ctr->arena, Google__Protobuf__Any);

	google__protobuf__any__init(any);
	any->type_url = PB("containerd.runc.v1.CheckpointOptions");
	any->value.data = arena_alloc(
		ctr->arena, containerd__runc__v1__checkpoint_options__get_packed_size(o) + 1);
	any->value.len = containerd__runc__v1__checkpoint_options__pack(o, any->value.data);
	return any;
}

static int add_task(struct checkpoint *k, Google__Protobuf__Any *options, struct err *e)
{
	TASKS(CheckpointTaskRequest) req = TASKS_INIT(CHECKPOINT_TASK_REQUEST);
	TASKS(CheckpointTaskResponse) * rsp;

	req.container_id = k->c->id;
	req.options = options;
	if (CTR_CALL(k->ctr, "tasks.v1.Tasks/Checkpoint", &req, tasks__v1__checkpoint_task_response,
		     &rsp, e) < 0)
		return -1;
	for (size_t i = 0; i < rsp->n_descriptors; i++)
		add(k, rsp->descriptors[i], true);
	return 0;
}

/* --- the index, and the image that keeps it --- */

static void put_part(struct jsonw *w, const struct part *p)
{
	struct platform host = platform_host();

	jsonw_object(w);
	jsonw_kstring(w, "mediaType", p->d->media_type);
	jsonw_kstring(w, "digest", p->d->digest);
	jsonw_ki64(w, "size", p->d->size);
	if (p->has_platform) {
		jsonw_key(w, "platform");
		jsonw_object(w);
		jsonw_kstring(w, "architecture", host.arch);
		jsonw_kstring(w, "os", host.os);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static int write_index(struct checkpoint *k, const char *ref, Containerd__Types__Descriptor **ret,
		       struct err *e)
{
	struct str out AUTO_STR = STR_INIT(INDEX_MAX);
	struct arena *a = k->ctr->arena;
	struct labels l = { 0 };
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_ku64(&w, "schemaVersion", 2);
	jsonw_key(&w, "manifests");
	jsonw_array(&w);
	for (size_t i = 0; i < k->n; i++)
		put_part(&w, &k->parts[i]);
	jsonw_end(&w);
	jsonw_key(&w, "annotations");
	jsonw_object(&w);
	for (size_t i = 0; i < k->annotations.n; i++)
		jsonw_kstring(&w, k->annotations.keys[i], k->annotations.values[i]);
	jsonw_end(&w);
	jsonw_end(&w);
	for (size_t i = 0; i < k->n; i++)
		labels_add(a, &l, arena_printf(a, "containerd.io/gc.ref.content.%zu", i),
			   k->parts[i].d->digest);
	return write_blob(k->ctr, "application/vnd.oci.image.index.v1+json", ref, str_c(&out),
			  out.len, &l, ret, e);
}

static int save(struct checkpoint *k, const char *name, const char *ref, const struct labels *l,
		struct err *e)
{
	IMAGES(CreateImageRequest) req = IMAGES_INIT(CREATE_IMAGE_REQUEST);
	IMAGES(Image) image = IMAGES_INIT(IMAGE);

	if (write_index(k, ref, &image.target, e) < 0)
		return -1;
	image.name = PB(name);
	image.n_labels = l->n;
	image.labels = (void *)labels_to_pb(
		k->ctr->arena, l,
		&containerd__services__images__v1__image__labels_entry__descriptor);
	req.image = &image;
	return CTR_CALL(k->ctr, "images.v1.Images/Create", &req, images__v1__create_image_response,
			NULL, e);
}

/* --- the task stands still meanwhile, so that memory and files fit each other --- */

static int pause_task(struct ctr *ctr, const char *id, struct err *e)
{
	TASKS(PauseTaskRequest) req = TASKS_INIT(PAUSE_TASK_REQUEST);

	req.container_id = PB(id);
	return CTR_CALL_EMPTY(ctr, "tasks.v1.Tasks/Pause", &req, e);
}

/* One that was to end has nothing to resume. */
static void resume_task(struct ctr *ctr, const char *id, bool may_fail)
{
	TASKS(ResumeTaskRequest) req = TASKS_INIT(RESUME_TASK_REQUEST);
	struct err e = { 0 };

	req.container_id = PB(id);
	if (CTR_CALL_EMPTY(ctr, "tasks.v1.Tasks/Resume", &req, &e) < 0 && !may_fail)
		ctr_warn("error resuming task: %s", e.msg);
}

static int checkpoint_task(struct checkpoint *k, const struct args *args, struct err *e)
{
	Containerd__Runc__V1__CheckpointOptions o = CONTAINERD__RUNC__V1__CHECKPOINT_OPTIONS__INIT;
	const char *path = args_string(args, "image-path");
	struct arena *a = k->ctr->arena;
	struct labels l = { 0 };
	time_t now = time(NULL);
	char date[32];
	struct tm tm;

	o.exit = args_bool(args, "exit");
	o.image_path = PB(path);
	o.work_path = PB(args_string(args, "work-path"));
	if (add_task(k, pack_options(k->ctr, &o), e) < 0)
		return -1;
	if (*path)
		return 0; /* what was written is there, and nowhere else */
	if (*k->c->image) {
		if (add_image(k, e) < 0)
			return -1;
		labels_add(a, &k->annotations, "image.name", k->c->image);
	}
	if (*k->c->snapshot_key && add_rw(k, e) < 0)
		return -1;
	labels_add(a, &l, "containerd.io/checkpoint", "true");
	strftime(date, sizeof date, "%m-%d-%Y-%H:%M:%S", localtime_r(&now, &tm));

	const char *name = arena_printf(a, "containerd.io/checkpoint/%s:%s", k->c->id, date);

	if (save(k, name, k->c->id, &l, e) < 0)
		return -1;
	ctr_puts(k->ctr, name);
	return 0;
}

int tasks_checkpoint(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct checkpoint k = { .ctr = ctr };
	Containerd__V1__Types__Process *p;
	CONTAINERS(Container) * c;

	if (!*args_at(args, 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0 || task_get(ctr, c->id, "", &p, e) < 0 ||
	    ctr_lease(ctr, e) < 0)
		return -1;

	bool pause = p->status != CONTAINERD__V1__TYPES__STATUS__PAUSED;
	int r = pause ? pause_task(ctr, c->id, e) : 0;

	k.c = c;
	if (r == 0) {
		r = checkpoint_task(&k, args, e);
		if (pause)
			resume_task(ctr, c->id, args_bool(args, "exit"));
	}
	ctr_lease_done(ctr);
	return r;
}

static int add_container_task(struct checkpoint *k, struct err *e)
{
	Containerd__Runc__V1__CheckpointOptions o = CONTAINERD__RUNC__V1__CHECKPOINT_OPTIONS__INIT;
	Google__Protobuf__Any *any;

	o.file_locks = true;
	any = pack_options(k->ctr, &o);
	if (add_task(k, any, e) < 0)
		return -1;
	return write_message(k, CHECKPOINT_OPTIONS,
			     arena_printf(k->ctr->arena, "%s-checkpoint-options", k->c->id),
			     &any->base, e);
}

/* A task's checkpoint brings the spec itself; without one a restore would not know what to start.
 */
static int add_spec(struct checkpoint *k, struct err *e)
{
	if (!k->c->spec)
		return 0;
	return write_message(k, CHECKPOINT_CONFIG, arena_printf(k->ctr->arena, "%s-spec", k->c->id),
			     &k->c->spec->base, e);
}

static int checkpoint_container(struct checkpoint *k, const struct args *args, struct err *e)
{
	const CONTAINERS(Container) *c = k->c;
	struct arena *a = k->ctr->arena;
	const struct labels none = { 0 };

	labels_add(a, &k->annotations, CHECKPOINT_REF_NAME, c->image);
	labels_add(a, &k->annotations, CHECKPOINT_RUNTIME, c->runtime ? c->runtime->name : "");
	labels_add(a, &k->annotations, CHECKPOINT_SNAPSHOTTER, c->snapshotter);
	if (c->runtime && c->runtime->options && c->runtime->options->value.len &&
	    write_message(k, CHECKPOINT_RUNTIME_OPTIONS,
			  arena_printf(a, "%s-runtime-options", c->id), &c->runtime->options->base,
			  e) < 0)
		return -1;
	if ((args_bool(args, "image") && add_image(k, e) < 0) ||
	    (args_bool(args, "rw") && add_rw(k, e) < 0) ||
	    (args_bool(args, "task") ? add_container_task(k, e) : add_spec(k, e)) < 0)
		return -1;
	return save(k, args->v[1], arena_printf(a, "%sindex", c->id), &none, e);
}

int containers_checkpoint(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct checkpoint k = { .ctr = ctr };
	Containerd__V1__Types__Process *p;
	CONTAINERS(Container) * c;
	bool has_task;
	int r = 0;

	if (!*args_at(args, 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id must be provided");
	if (!*args_at(args, 1))
		return err_set(e, ERR_INVALID_ARGUMENT, "ref must be provided");
	if (container_get(ctr, args->v[0], &c, e) < 0)
		return -1;
	has_task = task_get(ctr, c->id, "", &p, e) == 0;
	if (!has_task && e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	if (ctr_lease(ctr, e) < 0)
		return -1;
	if (has_task)
		r = pause_task(ctr, c->id, e);
	k.c = c;
	if (r == 0) {
		r = checkpoint_container(&k, args, e);
		if (has_task)
			resume_task(ctr, c->id, false);
	}
	ctr_lease_done(ctr);
	return r;
}
