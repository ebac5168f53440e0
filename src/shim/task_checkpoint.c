/* Checkpoint: the runtime's criu part writes the container's processes into a folder. */
#include "base/mem.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include "os/file.h"
#include "shim/events.h"
#include "shim/handlers.h"
#include "shim/task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef Containerd__Task__V3__CheckpointTaskRequest checkpoint_request;
typedef Containerd__Runc__V1__CheckpointOptions checkpoint_options;

static const char own_work[] = "criu-work";

/* Of any type that has the last name: clients write it with and without a prefix.  Without options
 * all of them are off. */
static checkpoint_options *take_options(const checkpoint_request *q, struct err *e)
{
	static const char type[] = "containerd.runc.v1.CheckpointOptions";
	const char *url = q->options ? q->options->type_url : "";
	const char *name = strrchr(url, '/') ? strrchr(url, '/') + 1 : url;
	ProtobufCBinaryData bytes = { 0 };
	checkpoint_options *o;

	if (*name && strcmp(name, type) != 0) {
		err_set(e, ERR_INVALID_ARGUMENT,
			"checkpoint options of type \"%s\" are not supported", url);
		return NULL;
	}
	if (q->options && *name)
		bytes = q->options->value;
	o = containerd__runc__v1__checkpoint_options__unpack(NULL, bytes.len, bytes.data);
	if (!o)
		err_set(e, ERR_INVALID_ARGUMENT, "checkpoint options are no %s", type);
	return o;
}

/* criu's log says more than its answer: it stays in the bundle. */
static void failed(struct container *c, const struct err *e, struct err *ret)
{
	AUTO_FREE char *log = xasprintf("%s/criu-dump.log", c->bundle);

	if (renameat(c->bundlefd, "criu-work/dump.log", c->bundlefd, "criu-dump.log") == 0)
		err_set(ret, e->code, "%s path= %s", e->msg, log);
	else
		*ret = *e;
}

static void on_checkpointed(const struct err *e, UNUSED pid_t pid, UNUSED int console, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	Containerd__Events__TaskCheckpointed ev = CONTAINERD__EVENTS__TASK_CHECKPOINTED__INIT;
	struct ttrpc_call *call = proc_end(p);
	const checkpoint_request *q = call->req;
	struct err error = { 0 };

	if (e)
		failed(c, e, &error);
	(void)file_remove_tree(c->bundlefd, own_work); /* the bundle goes anyway */
	if (e) {
		ttrpc_fail(call, &error);
		return;
	}
	ev.container_id = c->id;
	ev.checkpoint = q->path;
	events_send(c->shim->events, "/tasks/checkpointed", &ev.base);
	ttrpc_reply(call, NULL);
}

static void checkpoint(struct proc *p, struct ttrpc_call *call, const checkpoint_options *o)
{
	struct container *c = p->container;
	const checkpoint_request *q = call->req;
	AUTO_FREE char *work =
		*o->work_path ? xstrdup(o->work_path) : xasprintf("%s/%s", c->bundle, own_work);
	const struct oci_criu criu = {
		.image = q->path,
		.work = work,
		.parent = "",
		.cgroups_mode = o->cgroups_mode,
		.empty_namespaces = (const char *const *)o->empty_namespaces,
		.n_empty_namespaces = o->n_empty_namespaces,
		.leave_running = !o->exit,
		.open_tcp = o->open_tcp,
		.external_unix_sockets = o->external_unix_sockets,
		.terminal = o->terminal,
		.file_locks = o->file_locks,
	};
	const struct oci_request k = { .verb = OCI_CHECKPOINT,
				       .id = c->id,
				       .bundle = c->bundle,
				       .criu = &criu,
				       .call = call };

	proc_begin(p, call);
	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &k, on_checkpointed, p);
}

static int check(const struct proc *p, const checkpoint_request *q, struct err *e)
{
	if (p->state == PROC_CREATED)
		return err_set(e, ERR_UNKNOWN, "cannot checkpoint a task in created state");
	if (p->state == PROC_STOPPED)
		return err_set(e, ERR_UNKNOWN, "cannot checkpoint a stopped container");
	if (q->path[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "checkpoint path \"%s\" is not an absolute path", q->path);
	return 0;
}

void task_checkpoint(struct ttrpc_call *call)
{
	const checkpoint_request *q = call->req;
	checkpoint_options *o = NULL;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, "", &e);

	if (p && proc_defer(p, call))
		return;
	if (p && check(p, q, &e) == 0)
		o = take_options(q, &e);
	if (!o) {
		ttrpc_fail(call, &e);
		return;
	}
	checkpoint(p, call, o);
	containerd__runc__v1__checkpoint_options__free_unpacked(o, NULL);
}
