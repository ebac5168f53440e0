#include "api/containerd/tasks_checkpoint.h"

#include "api/containerd/convert.h"
#include "api/containerd/publish.h"
#include "api/containerd/worker_run.h"
#include "base/log.h"
#include "os/fd.h"
#include "os/file.h"
#include "store/content.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define V1(name) Containerd__Services__Tasks__V1__##name

static const char media_images[] = "application/vnd.containerd.container.criu.checkpoint.criu.tar";
static const char media_config[] =
	"application/vnd.containerd.container.checkpoint.config.v1+proto";

static void on_content(const char *digest, uint64_t size, void *arg)
{
	Containerd__Events__ContentCreate ev = CONTAINERD__EVENTS__CONTENT_CREATE__INIT;

	ev.digest = (char *)digest;
	ev.size = (int64_t)size;
	api_publish(arg, "/content/create", &ev.base);
}

static int open_dir(const char *dir, struct snapshot_dirs *ret, struct err *e)
{
	*ret = (struct snapshot_dirs){ .upper = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC),
				       .whiteout = WHITEOUT_REMOVE };
	return ret->upper < 0 ? err_sys(e, errno, "open %s", dir) : 0;
}

/* --- making one ---------------------------------------------------------------------------------
 */

static Containerd__Types__Descriptor *descriptor(struct arena *a, const char *media_type,
						 const char *digest, uint64_t size)
{
	Containerd__Types__Descriptor *d = ARENA_NEW(a, Containerd__Types__Descriptor);

	containerd__types__descriptor__init(d);
	d->media_type = (char *)media_type;
	d->digest = arena_strdup(a, digest);
	d->size = (int64_t)size;
	return d;
}

/* criu's folder as a tar.  The worker packs it: what lies in it was written by the container. */
static int save_images(struct call *call, const char *dir, Containerd__Types__Descriptor **ret,
		       struct err *e)
{
	const struct transfer_hooks hooks = { .arg = call, .content_created = on_content };
	struct snapshot_dirs nothing = { .upper = -1 }, images;
	struct transfer_result result = { 0 };
	struct transfer_job job = { .kind = TRANSFER_DIFF,
				    .hooks = &hooks,
				    .diff = { .left = &nothing,
					      .right = &images,
					      .media_type = MEDIA_OCI_LAYER,
					      .ref = dir } };

	if (open_dir(dir, &images, e) < 0)
		return -1;
	int r = worker_run(call, &job, &result, e);

	snapshot_dirs_done(&images);
	if (r < 0)
		return err_wrap(e, "failed to write the checkpoint");
	*ret = descriptor(call->arena, media_images, result.root.digest, result.root.size);
	return 0;
}

/* The spec as an encoded Any. */
static int save_spec(struct call *call, const char *dir, const struct any *spec,
		     Containerd__Types__Descriptor **ret, struct err *e)
{
	Google__Protobuf__Any *any = conv_to_any(call->arena, spec);
	size_t n = google__protobuf__any__get_packed_size(any);
	uint8_t *bytes = arena_alloc(call->arena, n + 1);
	struct ingest *in;
	char digest[72];

	(void)google__protobuf__any__pack(any, bytes);
	if (ingest_open(call->engine->store, call->ns, call->lease,
			arena_printf(call->arena, "%s/spec", dir), n, NULL, &in, e) < 0)
		return -1;
	int r = ingest_write(in, bytes, n, e);

	if (r == 0)
		r = ingest_commit(in, n, NULL, NULL, digest, e);
	if (r < 0 && e->code == ERR_ALREADY_EXISTS) { /* of an earlier checkpoint */
		err_clear(e);
		r = ingest_digest(in, digest, e);
	} else if (r == 0) {
		on_content(digest, n, call);
	}
	ingest_close(in);
	if (r < 0)
		return err_wrap(e, "failed to write the spec of a checkpoint");
	*ret = descriptor(call->arena, media_config, digest, n);
	return 0;
}

static int make(struct call *call, struct task *t, const struct any *options,
		V1(CheckpointTaskResponse) * a, struct err *e)
{
	const char *top = engine_checkpoints(call->engine, call->arena);
	char *dir = arena_printf(call->arena, "%s/XXXXXX", top);
	struct container_record r;

	if (container_get(call->engine->store, call->ns, call->arena, task_id(t), &r, e) < 0)
		return -1;
	/* Not in the task's own folders: a client deletes the task as soon as it has ended. */
	if ((mkdir(top, 0700) < 0 && errno != EEXIST) || !mkdtemp(dir))
		return err_sys(e, errno, "mkdir %s", dir);
	a->descriptors = arena_array(call->arena, 2, sizeof *a->descriptors);
	int done = task_checkpoint(t, dir, options, call->deadline, e);

	if (done == 0)
		done = save_images(call, dir, &a->descriptors[0], e);
	if (done == 0)
		done = save_spec(call, dir, &r.spec, &a->descriptors[1], e);
	if (done == 0)
		a->n_descriptors = 2;
	if (file_remove_tree(AT_FDCWD, dir) < 0)
		log_warn(LOG({ "id", task_id(t) }, { "path", dir }),
			 "cannot remove a checkpoint's images");
	return done;
}

int tasks_checkpoint(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(CheckpointTaskRequest) *q = req;
	struct any options = conv_any(q->options);
	AUTO_TASK struct task *t = NULL;
	const Containerd__Runc__V1__CheckpointOptions *o;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    task_get(call.engine->tasks, call.ns, q->container_id, &t, e) < 0)
		return -1;
	o = conv_unpack(c->arena, &options, &containerd__runc__v1__checkpoint_options__descriptor);
	/* Who names a folder keeps what is in it. */
	if (o && *o->image_path)
		return task_checkpoint(t, o->image_path, &options, call.deadline, e);
	return make(&call, t, &options, rsp, e);
}

/* --- going on from one
 * ----------------------------------------------------------------------------
 */

static int unpack(const char *dir, void *arg, struct err *e)
{
	const struct tasks_restore *from = arg;
	struct snapshot_dirs dirs;
	struct transfer_result result = { 0 };
	struct transfer_job job = { .kind = TRANSFER_APPLY, .apply = { .dirs = &dirs } };

	job.apply.blob.media_type = MEDIA_OCI_LAYER; /* it is a tar */
	job.apply.blob.digest = from->blob->digest;
	job.apply.blob.size = (uint64_t)from->blob->size;
	if (open_dir(dir, &dirs, e) < 0)
		return -1;
	int r = worker_run(from->call, &job, &result, e);

	snapshot_dirs_done(&dirs);
	return r;
}

int tasks_restore_from(const struct call *call, const V1(CreateTaskRequest) * q, struct task_new *n,
		       struct tasks_restore *keep, struct err *e)
{
	struct any own = conv_any(q->options);
	const Containerd__Runc__V1__Options *o =
		conv_unpack(call->arena, &own, &containerd__runc__v1__options__descriptor);

	if (o && *o->criu_image_path) {
		n->checkpoint = o->criu_image_path;
		return 0;
	}
	if (!q->checkpoint || !*q->checkpoint->digest)
		return 0;
	if (strcmp(q->checkpoint->media_type, media_images) != 0)
		return err_set(e, ERR_UNKNOWN, "unsupported checkpoint type \"%s\"",
			       q->checkpoint->media_type);
	if (q->checkpoint->size < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "a checkpoint of a negative size");
	*keep = (struct tasks_restore){ call, q->checkpoint };
	n->unpack = unpack;
	n->unpack_arg = keep;
	return 0;
}
