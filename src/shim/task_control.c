/* Signals, pause and resume, limits, terminal, Shutdown. */
#include "base/mem.h"
#include "containerd/events/task.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "os/syscall.h"
#include "shim/events.h"
#include "shim/handlers.h"
#include "shim/streams.h"
#include "shim/task.h"

#include <errno.h>
#include <string.h>

static void on_done(const struct err *e, UNUSED pid_t pid, UNUSED int console, void *arg)
{
	struct ttrpc_call *call = proc_end(arg);

	if (e)
		ttrpc_fail(call, e);
	else
		ttrpc_reply(call, NULL);
}

static void runtime_do(struct proc *p, struct ttrpc_call *call, struct oci_request *q,
		       oci_done_fn *done)
{
	struct container *c = p->container;

	q->id = c->id;
	q->bundle = c->bundle;
	q->call = call;
	proc_begin(p, call);
	oci_call(c->shim->loop, c->shim->reaper, &c->runtime, q, done, p);
}

static int signal_now(const struct proc *p, int sig, struct err *e)
{
	if (!p->pid)
		return err_set(e, ERR_FAILED_PRECONDITION, "process not created");
	if (p->is_reaped || p->state == PROC_STOPPED || p->pidfd < 0)
		return err_set(e, ERR_NOT_FOUND, "process already finished");

	int r = sys_pidfd_send_signal(p->pidfd, sig, NULL, 0);

	if (r == -ESRCH)
		return err_set(e, ERR_NOT_FOUND, "process already finished");
	return r < 0 ? err_sys(e, -r, "kill %d", p->pid) : 0;
}

void task_kill(struct ttrpc_call *call)
{
	const Containerd__Task__V3__KillRequest *q = call->req;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (p && q->signal > 64) {
		err_set(&e, ERR_INVALID_ARGUMENT, "signal %u is out of range", q->signal);
		p = NULL;
	}
	/* All of a container, and what stands still in a frozen cgroup, is the runtime's to
	 * reach.  One process is reached without it, and without waiting. */
	if (p && proc_is_init(p) && p->pid && !p->is_reaped && p->state != PROC_STOPPED &&
	    (q->all || p->state == PROC_PAUSED)) {
		struct oci_request k = { .verb = OCI_KILL, .sig = (int)q->signal, .all = q->all };

		if (!proc_defer(p, call))
			runtime_do(p, call, &k, on_done);
		return;
	}
	if (!p || signal_now(p, (int)q->signal, &e) < 0)
		ttrpc_fail(call, &e);
	else
		ttrpc_reply(call, NULL);
}

static void on_paused(const struct err *e, pid_t pid, int console, void *arg)
{
	struct proc *p = arg;
	Containerd__Events__TaskPaused ev = CONTAINERD__EVENTS__TASK_PAUSED__INIT;

	p->is_pausing = false;
	if (!e && p->state == PROC_RUNNING) {
		proc_set_state(p, PROC_PAUSED);
		ev.container_id = p->container->id;
		events_send(p->container->shim->events, "/tasks/paused", &ev.base);
	}
	on_done(e, pid, console, arg);
}

static void on_resumed(const struct err *e, pid_t pid, int console, void *arg)
{
	struct proc *p = arg;
	Containerd__Events__TaskResumed ev = CONTAINERD__EVENTS__TASK_RESUMED__INIT;

	if (!e && p->state == PROC_PAUSED) {
		proc_set_state(p, PROC_RUNNING);
		ev.container_id = p->container->id;
		events_send(p->container->shim->events, "/tasks/resumed", &ev.base);
	}
	on_done(e, pid, console, arg);
}

void task_pause(struct ttrpc_call *call)
{
	static const char *const wrong[] = {
		[PROC_CREATED] = "cannot pause task in created state",
		[PROC_PAUSED] = "cannot pause a paused container",
		[PROC_STOPPED] = "cannot pause a stopped container",
	};
	const Containerd__Task__V3__PauseRequest *q = call->req;
	struct oci_request k = { .verb = OCI_PAUSE };
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, "", &e);

	if (p && proc_defer(p, call))
		return;
	if (p && p->state != PROC_RUNNING) {
		err_set(&e, ERR_UNKNOWN, "%s", wrong[p->state]);
		p = NULL;
	}
	if (!p) {
		ttrpc_fail(call, &e);
		return;
	}
	p->is_pausing = true;
	runtime_do(p, call, &k, on_paused);
}

void task_resume(struct ttrpc_call *call)
{
	static const char *const wrong[] = {
		[PROC_CREATED] = "cannot resume task in created state",
		[PROC_RUNNING] = "cannot resume a running process",
		[PROC_STOPPED] = "cannot resume a stopped container",
	};
	const Containerd__Task__V3__ResumeRequest *q = call->req;
	struct oci_request k = { .verb = OCI_RESUME };
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, "", &e);

	if (p && proc_defer(p, call))
		return;
	if (p && p->state != PROC_PAUSED) {
		err_set(&e, ERR_UNKNOWN, "%s", wrong[p->state]);
		p = NULL;
	}
	if (p)
		runtime_do(p, call, &k, on_resumed);
	else
		ttrpc_fail(call, &e);
}

void task_update(struct ttrpc_call *call)
{
	const Containerd__Task__V3__UpdateTaskRequest *q = call->req;
	struct oci_request k = { .verb = OCI_UPDATE };
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, "", &e);

	if (p && proc_defer(p, call))
		return;
	if (p && p->state == PROC_STOPPED)
		err_set(&e, ERR_UNKNOWN, "cannot update a stopped container");
	else if (p && (!q->resources || !q->resources->value.len))
		err_set(&e, ERR_INVALID_ARGUMENT, "update without resources");
	if (!p || e.code || !q->resources) {
		ttrpc_fail(call, &e);
		return;
	}
	k.json = (const char *)q->resources->value.data;
	k.json_len = q->resources->value.len;
	runtime_do(p, call, &k, on_done);
}

void task_resize_pty(struct ttrpc_call *call)
{
	const Containerd__Task__V3__ResizePtyRequest *q = call->req;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (p && !proc_is_init(p) && p->state == PROC_STOPPED)
		err_set(&e, ERR_UNKNOWN, "cannot resize a stopped container");
	if (!p || e.code || (p->io && streams_resize(p->io, q->width, q->height, &e) < 0))
		ttrpc_fail(call, &e);
	else
		ttrpc_reply(call, NULL);
}

void task_close_io(struct ttrpc_call *call)
{
	const Containerd__Task__V3__CloseIORequest *q = call->req;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (!p) {
		ttrpc_fail(call, &e);
		return;
	}
	if (q->stdin && p->io)
		streams_close_stdin(p->io);
	ttrpc_reply(call, NULL);
}

void task_shutdown(struct ttrpc_call *call)
{
	struct shim *s = call->user;
	bool is_last = !s->containers && !s->sandbox;

	if (is_last)
		s->hide(s);
	ttrpc_reply(call, NULL);
	if (is_last)
		s->stop(s);
}
