/* Create: options → rootfs → streams → the runtime → the event. */
#include "base/ident.h"
#include "base/mem.h"
#include "base/str.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "shim/events.h"
#include "shim/handlers.h"
#include "shim/rootfs.h"
#include "shim/streams.h"
#include "shim/task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef Containerd__Task__V3__CreateTaskRequest create_request;

static char *rootfs_path(const struct container *c)
{
	return xasprintf("%s/rootfs", c->bundle);
}

static int mount_rootfs(void *arg, struct err *e)
{
	struct container *c = arg;
	const create_request *q = c->init.op->req;
	AUTO_FREE char *rootfs = rootfs_path(c);
	AUTO_FREE struct rootfs_mount *m = xcalloc(q->n_rootfs + 1, sizeof *m);

	if (!q->n_rootfs)
		return 0;
	if (mkdir(rootfs, 0711) < 0 && errno != EEXIST)
		return err_sys(e, errno, "mkdir %s", rootfs);
	for (size_t i = 0; i < q->n_rootfs; i++)
		m[i] = (struct rootfs_mount){
			.type = q->rootfs[i]->type,
			.source = q->rootfs[i]->source,
			.target = q->rootfs[i]->target,
			.options = (const char *const *)q->rootfs[i]->options,
			.n_options = q->rootfs[i]->n_options,
		};
	if (rootfs_mount_all(rootfs, m, q->n_rootfs, e) < 0)
		return -1;
	c->is_mounted = true;
	return 0;
}

static void unmount_rootfs(struct container *c)
{
	AUTO_FREE char *rootfs = rootfs_path(c);
	struct err ignored = { 0 };

	if (c->is_mounted)
		(void)rootfs_unmount(rootfs, &ignored); /* an earlier error is being told */
}

static void create_failed(struct container *c, const struct err *e)
{
	struct ttrpc_call *call = proc_end(&c->init);

	unmount_rootfs(c);
	ttrpc_fail(call, e);
	container_free(c);
}

static void announce_create(const struct container *c, const create_request *q)
{
	Containerd__Events__TaskCreate ev = CONTAINERD__EVENTS__TASK_CREATE__INIT;
	Containerd__Events__TaskIO io = CONTAINERD__EVENTS__TASK_IO__INIT;

	io.stdin = q->stdin;
	io.stdout = q->stdout;
	io.stderr = q->stderr;
	io.terminal = q->terminal;
	ev.container_id = c->id;
	ev.bundle = c->bundle;
	ev.rootfs = q->rootfs;
	ev.n_rootfs = q->n_rootfs;
	ev.io = &io;
	ev.checkpoint = q->checkpoint;
	ev.pid = (uint32_t)c->init.pid;
	events_send_soon(c->shim->events, "/tasks/create", &ev.base);
}

static void on_deleted_again(UNUSED const struct err *e, UNUSED pid_t pid, UNUSED int console,
			     void *arg)
{
	struct container *c = arg;
	struct err error = { 0 };

	err_set(&error, ERR_UNKNOWN, "%s", c->init.err);
	create_failed(c, &error);
}

/* The process is there, but its streams are not: it goes again.  The reason waits in init.err, the
 * path of a stream that is not used any more. */
static void undo_create(struct container *c, const struct err *e)
{
	struct oci_request q = {
		.verb = OCI_DELETE, .id = c->id, .bundle = c->bundle, .force = true
	};

	free(c->init.err);
	c->init.err = xstrdup(e->msg);
	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_deleted_again, c);
}

static void answer_create(struct container *c)
{
	Containerd__Task__V3__CreateTaskResponse r =
		CONTAINERD__TASK__V3__CREATE_TASK_RESPONSE__INIT;

	c->is_creating = false;
	announce_create(c, c->init.op->req);

	struct ttrpc_call *call = proc_end(&c->init);

	r.pid = (uint32_t)c->init.pid;
	ttrpc_reply(call, &r.base);
}

static void on_created(const struct err *e, pid_t pid, int console, void *arg)
{
	struct container *c = arg;
	struct err error = { 0 };

	if (e) {
		create_failed(c, e);
		return;
	}
	if (streams_start(c->init.io, console, &error) < 0) {
		undo_create(c, &error);
		return;
	}
	c->init.pid = pid;
	answer_create(c);
	c->has_own_cgroup = !c->runtime.binary;
	if (c->runtime.binary) /* once it runs it may go deeper; who asks for that is heard after us
				*/
		container_note_cgroup(c);
	proc_watch(&c->init);
}

static void on_streams(const struct err *e, void *arg)
{
	struct container *c = arg;

	if (e) {
		create_failed(c, e);
		return;
	}
	streams_show(c->init.io, &c->init.out, &c->init.err);
	/* What is restored comes to be and runs in one step: Start. */
	if (c->checkpoint) {
		answer_create(c);
		return;
	}

	struct oci_request q = {
		.verb = OCI_CREATE,
		.id = c->id,
		.bundle = c->bundle,
		.pid_file = c->init.pid_file,
		.stdio = streams_child(c->init.io),
		.terminal = c->init.terminal,
		.no_pivot_root = c->no_pivot_root,
		.no_new_keyring = c->no_new_keyring,
		.make_root = mount_rootfs,
		.root_arg = c,
		.call = c->init.op,
	};

	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_created, c);
}

static int take_options(struct container *c, const create_request *q, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct shim_options o = shim_options_default;

	if (q->options && shim_options_decode(a, q->options->type_url, q->options->value.data,
					      q->options->value.len, &o, e) < 0)
		return -1;
	if (shim_options_save(c->bundlefd, &o, e) < 0)
		return -1;
	c->io_uid = o.io_uid;
	c->io_gid = o.io_gid;
	c->no_pivot_root = o.no_pivot_root;
	c->no_new_keyring = o.no_new_keyring;
	c->criu_work = *o.criu_work_path ? xstrdup(o.criu_work_path)
					 : xasprintf("%s/criu-work", c->bundle);
	oci_runtime_init(&c->runtime, &o, c->shim->ns, c->bundle, c->shim->own_runc);
	return 0;
}

static int check(const struct shim *s, const create_request *q, struct err *e)
{
	if (!ident_is_valid(q->id))
		return err_set(e, ERR_INVALID_ARGUMENT, "container id \"%s\" is not valid", q->id);
	if (q->bundle[0] != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "bundle \"%s\" is not an absolute path",
			       q->bundle);
	for (const struct container *c = s->containers; c; c = c->next)
		if (strcmp(c->id, q->id) == 0)
			return err_set(e, ERR_ALREADY_EXISTS, "id %s", q->id);
	return 0;
}

void task_create(struct ttrpc_call *call)
{
	struct shim *s = call->user;
	const create_request *q = call->req;
	struct err e = { 0 };

	if (check(s, q, &e) < 0) {
		ttrpc_fail(call, &e);
		return;
	}

	struct container *c = container_new(s, q->id, q->bundle);
	struct proc *p = &c->init;

	proc_begin(p, call);
	p->in = xstrdup(q->stdin);
	p->out = xstrdup(q->stdout);
	p->err = xstrdup(q->stderr);
	p->terminal = q->terminal;
	if (*q->checkpoint) {
		c->checkpoint = xstrdup(q->checkpoint);
		c->parent_checkpoint = xstrdup(q->parent_checkpoint);
	}
	p->pid_file = xasprintf("%s/init.pid", c->bundle);
	c->bundlefd = open(c->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->bundlefd < 0)
		err_sys(&e, errno, "open bundle %s", c->bundle);
	if (e.code || take_options(c, q, &e) < 0 || (c->checkpoint && mount_rootfs(c, &e) < 0)) {
		create_failed(c, &e);
		return;
	}

	struct streams_config cfg = { .in = q->stdin,
				      .out = q->stdout,
				      .err = q->stderr,
				      .terminal = q->terminal,
				      .uid = c->io_uid,
				      .gid = c->io_gid,
				      .id = c->id,
				      .ns = s->ns,
				      .bundlefd = c->bundlefd };

	if (streams_open(s->loop, s->reaper, &cfg, on_streams, c, &p->io, &e) < 0) {
		err_wrap(&e, "failed to create init process I/O");
		create_failed(c, &e);
	}
}
