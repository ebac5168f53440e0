/* Start, Exec and Delete. */
#include "base/ident.h"
#include "base/log.h"
#include "base/mem.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "loop/loop.h"
#include "shim/events.h"
#include "shim/handlers.h"
#include "shim/rootfs.h"
#include "shim/streams.h"
#include "shim/task.h"

#include <string.h>

static const uint64_t drain_time = 2000000000u;

static void reply_pid(struct ttrpc_call *call, const struct proc *p)
{
	Containerd__Task__V3__StartResponse r = CONTAINERD__TASK__V3__START_RESPONSE__INIT;

	r.pid = (uint32_t)p->pid;
	ttrpc_reply(call, &r.base);
}

static void on_init_started(const struct err *e, UNUSED pid_t pid, UNUSED int console, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	Containerd__Events__TaskStart ev = CONTAINERD__EVENTS__TASK_START__INIT;
	struct ttrpc_call *call = proc_end(p);

	if (e) {
		ttrpc_fail(call, e);
		proc_started(p);
		return;
	}
	proc_set_state(p, PROC_RUNNING);
	ev.container_id = c->id;
	ev.pid = (uint32_t)p->pid;
	events_send_soon(c->shim->events, "/tasks/start", &ev.base);
	reply_pid(call, p);
	container_note_cgroup(c);
	container_note_pidns(c);
	if (!p->is_reaped)
		container_watch_oom(c);
	proc_started(p);
}

/* The process goes on where it stood; its pid is known only now. */
static void on_restored(const struct err *e, pid_t pid, int console, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	struct err error = { 0 };

	if (e) {
		/* It is still created: another Start may find what was missing. */
		ttrpc_fail(proc_end(p), e);
		proc_abandoned(p);
		return;
	}
	free(c->checkpoint);
	c->checkpoint = NULL;
	p->pid = pid;
	container_note_cgroup(c);
	proc_watch(p);
	if (streams_start(p->io, console, &error) < 0) {
		(void)kill(pid, SIGKILL); /* its end is told as any other's */
		e = &error;
	}
	on_init_started(e, pid, -1, p);
}

static void restore_init(struct proc *p)
{
	struct container *c = p->container;
	const struct oci_criu criu = { .image = c->checkpoint,
				       .work = c->criu_work,
				       .parent = c->parent_checkpoint,
				       .cgroups_mode = "" };
	struct oci_request q = { .verb = OCI_RESTORE,
				 .id = c->id,
				 .bundle = c->bundle,
				 .pid_file = p->pid_file,
				 .stdio = streams_child(p->io),
				 .terminal = p->terminal,
				 .no_pivot_root = c->no_pivot_root,
				 .criu = &criu,
				 .call = p->op };

	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_restored, p);
}

static void start_init(struct proc *p, struct ttrpc_call *call)
{
	struct container *c = p->container;
	struct oci_request q = {
		.verb = OCI_START, .id = c->id, .bundle = c->bundle, .call = call
	};

	proc_begin(p, call);
	p->is_starting = true;
	if (c->checkpoint)
		restore_init(p);
	else
		oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_init_started, p);
}

/* An exec whose start failed stays in the list for Delete; who waits for it is told at once. */
static void exec_failed(struct proc *p, const struct err *e)
{
	struct ttrpc_call *call = proc_end(p);

	streams_free(p->io);
	p->io = NULL;
	p->exit_status = 255;
	clock_gettime(CLOCK_REALTIME, &p->exited_at);
	proc_set_state(p, PROC_STOPPED);
	proc_answer_waiters(p);
	ttrpc_fail(call, e);
	proc_abandoned(p);
}

static void on_exec_started(const struct err *e, pid_t pid, int console, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	Containerd__Events__TaskExecStarted ev = CONTAINERD__EVENTS__TASK_EXEC_STARTED__INIT;
	struct err error = { 0 };

	free(p->spec);
	p->spec = NULL;
	if (!e && streams_start(p->io, console, &error) < 0)
		e = &error;
	if (error.code)
		(void)kill(pid, SIGKILL); /* our child, not reaped yet: the pid is its own */
	if (e) {
		exec_failed(p, e);
		return;
	}
	p->pid = pid;
	proc_set_state(p, PROC_RUNNING);
	proc_watch(p);
	ev.container_id = c->id;
	ev.exec_id = p->id;
	ev.pid = (uint32_t)pid;
	events_send_soon(c->shim->events, "/tasks/exec-started", &ev.base);
	reply_pid(proc_end(p), p);
	proc_started(p);
}

static void on_exec_streams(const struct err *e, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;

	if (e) {
		exec_failed(p, e);
		return;
	}
	streams_show(p->io, &p->out, &p->err);

	struct oci_request q = {
		.verb = OCI_EXEC,
		.id = c->id,
		.bundle = c->bundle,
		.pid_file = p->pid_file,
		.stdio = streams_child(p->io),
		.terminal = p->terminal,
		.json = p->spec,
		.json_len = p->spec_len,
		.call = p->op,
	};

	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_exec_started, p);
}

static void start_exec(struct proc *p, struct ttrpc_call *call)
{
	struct container *c = p->container;
	struct streams_config cfg = { .in = p->in,
				      .out = p->out,
				      .err = p->err,
				      .terminal = p->terminal,
				      .uid = c->io_uid,
				      .gid = c->io_gid,
				      .id = p->id,
				      .ns = c->shim->ns,
				      .bundlefd = c->bundlefd };
	struct err e = { 0 };

	if (c->init.is_reaped) {
		err_set(&e, ERR_FAILED_PRECONDITION, "container %s init process is not running",
			c->id);
		ttrpc_fail(call, &e);
		return;
	}
	proc_begin(p, call);
	p->is_starting = true;
	if (streams_open(c->shim->loop, c->shim->reaper, &cfg, on_exec_streams, p, &p->io, &e) <
	    0) {
		err_wrap(&e, "failed to create init process I/O");
		exec_failed(p, &e);
	}
}

void task_start(struct ttrpc_call *call)
{
	const Containerd__Task__V3__StartRequest *q = call->req;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (p && proc_defer(p, call))
		return;
	if (p && p->state != PROC_CREATED) {
		err_set(&e, ERR_UNKNOWN, "cannot start a %s process", proc_state_names[p->state]);
		p = NULL;
	}
	if (!p)
		ttrpc_fail(call, &e);
	else if (proc_is_init(p))
		start_init(p, call);
	else
		start_exec(p, call);
}

static int exec_check(struct container *c, const Containerd__Task__V3__ExecProcessRequest *q,
		      struct err *e)
{
	static const char type[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";

	if (!ident_is_valid(q->exec_id))
		return err_set(e, ERR_INVALID_ARGUMENT, "exec id \"%s\" is not valid", q->exec_id);
	for (const struct proc *p = c->execs; p; p = p->next)
		if (strcmp(p->id, q->exec_id) == 0)
			return err_set(e, ERR_ALREADY_EXISTS, "id %s", q->exec_id);
	if (c->init.state == PROC_PAUSED || c->init.state == PROC_STOPPED)
		return err_set(e, ERR_UNKNOWN, "cannot exec in a %s state",
			       proc_state_names[c->init.state]);
	if (!q->spec || !q->spec->value.len)
		return err_set(e, ERR_INVALID_ARGUMENT, "exec without a process");
	if (strcmp(q->spec->type_url, type) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "process of type \"%s\" is not supported",
			       q->spec->type_url);
	return 0;
}

void task_exec(struct ttrpc_call *call)
{
	const Containerd__Task__V3__ExecProcessRequest *q = call->req;
	struct shim *s = call->user;
	Containerd__Events__TaskExecAdded ev = CONTAINERD__EVENTS__TASK_EXEC_ADDED__INIT;
	struct err e = { 0 };
	struct container *c = container_get(s, q->id, &e);

	if (!c || exec_check(c, q, &e) < 0) {
		ttrpc_fail(call, &e);
		return;
	}

	struct proc *p = exec_new(c, q->exec_id);

	p->in = xstrdup(q->stdin);
	p->out = xstrdup(q->stdout);
	p->err = xstrdup(q->stderr);
	p->terminal = q->terminal;
	p->pid_file = xasprintf("%s/%s.pid", c->bundle, p->id);
	p->spec_len = q->spec->value.len;
	p->spec = xmemdup(q->spec->value.data, p->spec_len);
	ev.container_id = c->id;
	ev.exec_id = p->id;
	events_send(s->events, "/tasks/exec-added", &ev.base);
	ttrpc_reply(call, NULL);
}

static void reply_deleted(struct ttrpc_call *call, const struct proc *p)
{
	Containerd__Task__V3__DeleteResponse r = CONTAINERD__TASK__V3__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	at.seconds = p->exited_at.tv_sec;
	at.nanos = (int32_t)p->exited_at.tv_nsec;
	r.pid = (uint32_t)p->pid;
	r.exit_status = p->exit_status;
	r.exited_at = &at;
	ttrpc_reply(call, &r.base);
}

static void on_init_deleted(const struct err *e, UNUSED pid_t pid, UNUSED int console, void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	AUTO_FREE char *rootfs = xasprintf("%s/rootfs", c->bundle);
	Containerd__Events__TaskDelete ev = CONTAINERD__EVENTS__TASK_DELETE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct ttrpc_call *call = proc_end(p);
	struct err error = { 0 };

	if (e) {
		ttrpc_fail(call, e);
		return;
	}
	if (c->is_mounted && rootfs_unmount(rootfs, &error) < 0)
		log_warn(LOG({ "id", c->id }, { "error", error.msg }),
			 "failed to cleanup rootfs mount, going on");
	at.seconds = p->exited_at.tv_sec;
	at.nanos = (int32_t)p->exited_at.tv_nsec;
	ev.container_id = c->id;
	ev.pid = (uint32_t)p->pid;
	ev.exit_status = p->exit_status;
	ev.exited_at = &at;
	events_send(c->shim->events, "/tasks/delete", &ev.base);
	reply_deleted(call, p);
	container_free(c);
}

/* All output is copied, or it has had its time. */
static void on_drained(void *arg)
{
	struct proc *p = arg;
	struct container *c = p->container;
	struct oci_request q = {
		.verb = OCI_DELETE, .id = c->id, .bundle = c->bundle, .call = p->op
	};

	loop_timer_remove(p->drain_timer);
	p->drain_timer = NULL;
	if (p->io)
		streams_on_drained(p->io, NULL, NULL);
	if (proc_is_init(p)) {
		oci_call(c->shim->loop, c->shim->reaper, &c->runtime, &q, on_init_deleted, p);
		return;
	}
	reply_deleted(proc_end(p), p);
	exec_free(p);
}

static void on_drain_late(UNUSED struct loop_timer *t, void *arg)
{
	struct proc *p = arg;

	log_error(LOG({ "id", p->container->id }, { "exec", p->id }),
		  "output was not read to its end within 2 s");
	on_drained(p);
}

static int delete_check(const struct proc *p, struct err *e)
{
	if (p->state == PROC_RUNNING || p->state == PROC_PAUSED)
		return err_set(e, ERR_UNKNOWN, "cannot delete a %s process",
			       proc_state_names[p->state]);
	return 0;
}

void task_delete(struct ttrpc_call *call)
{
	const Containerd__Task__V3__DeleteRequest *q = call->req;
	struct shim *s = call->user;
	struct err e = { 0 };
	struct proc *p = proc_get(s, q->id, q->exec_id, &e);

	if (p && proc_defer(p, call))
		return;
	if (!p || delete_check(p, &e) < 0) {
		ttrpc_fail(call, &e);
		return;
	}
	proc_begin(p, call);
	if (!p->io || p->state == PROC_CREATED) {
		on_drained(p);
		return;
	}
	p->drain_timer = loop_timer_add(s->loop, drain_time, on_drain_late, p);
	streams_on_drained(p->io, on_drained, p);
}
