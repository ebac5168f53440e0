/* What can be answered from memory. */
#include "base/mem.h"
#include "base/timefmt.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include "shim/handlers.h"
#include "shim/task.h"

#include <string.h>

static Containerd__V1__Types__Status status_of(const struct proc *p)
{
	static const Containerd__V1__Types__Status by_state[] = {
		[PROC_CREATED] = CONTAINERD__V1__TYPES__STATUS__CREATED,
		[PROC_RUNNING] = CONTAINERD__V1__TYPES__STATUS__RUNNING,
		[PROC_PAUSED] = CONTAINERD__V1__TYPES__STATUS__PAUSED,
		[PROC_STOPPED] = CONTAINERD__V1__TYPES__STATUS__STOPPED,
	};
	const struct proc *init = &p->container->init;

	/* What stands still in the container stands still with it. */
	if (init->is_pausing)
		return CONTAINERD__V1__TYPES__STATUS__PAUSING;
	if (init->state == PROC_PAUSED)
		return CONTAINERD__V1__TYPES__STATUS__PAUSED;
	return by_state[p->state];
}

void task_state(struct ttrpc_call *call)
{
	const Containerd__Task__V3__StateRequest *q = call->req;
	Containerd__Task__V3__StateResponse r = CONTAINERD__TASK__V3__STATE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (!p) {
		ttrpc_fail(call, &e);
		return;
	}
	at.seconds = TIMEFMT_GO_ZERO_SEC;
	if (p->state == PROC_STOPPED) {
		at.seconds = p->exited_at.tv_sec;
		at.nanos = (int32_t)p->exited_at.tv_nsec;
		r.exit_status = p->exit_status;
	}
	r.id = proc_is_init(p) ? p->container->id : p->id;
	r.bundle = p->container->bundle;
	r.pid = (uint32_t)p->pid;
	r.status = status_of(p);
	r.stdin = p->in;
	r.stdout = p->out;
	r.stderr = p->err;
	r.terminal = p->terminal;
	r.exited_at = &at;
	ttrpc_reply(call, &r.base);
}

void task_wait(struct ttrpc_call *call)
{
	const Containerd__Task__V3__WaitRequest *q = call->req;
	struct err e = { 0 };
	struct proc *p = proc_get(call->user, q->id, q->exec_id, &e);

	if (!p)
		ttrpc_fail(call, &e);
	else if (p->state == PROC_STOPPED)
		proc_answer_wait(p, call);
	else
		proc_add_waiter(p, call);
}

void task_connect(struct ttrpc_call *call)
{
	const Containerd__Task__V3__ConnectRequest *q = call->req;
	Containerd__Task__V3__ConnectResponse r = CONTAINERD__TASK__V3__CONNECT_RESPONSE__INIT;
	struct err ignored = { 0 };
	struct container *c = container_get(call->user, q->id, &ignored);

	r.shim_pid = (uint32_t)getpid();
	if (c) /* before Create there is a shim, and no task */
		r.task_pid = (uint32_t)c->init.pid;
	ttrpc_reply(call, &r.base);
}

/* Any{ProcessDetails} of the exec that has this pid, in the arena; NULL for others. */
static Google__Protobuf__Any *details_of(struct arena *a, const struct container *c, pid_t pid)
{
	for (const struct proc *p = c->execs; p; p = p->next) {
		Containerd__Runc__V1__ProcessDetails d =
			CONTAINERD__RUNC__V1__PROCESS_DETAILS__INIT;

		if (p->pid != pid || p->state == PROC_STOPPED)
			continue;

		Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);

		google__protobuf__any__init(any);
		d.exec_id = p->id;
		any->type_url = (char *)containerd__runc__v1__process_details__descriptor.name;
		any->value.len = containerd__runc__v1__process_details__get_packed_size(&d);
		any->value.data = arena_alloc(a, any->value.len + 1);
		containerd__runc__v1__process_details__pack(&d, any->value.data);
		return any;
	}
	return NULL;
}

static void add_pid(struct cgroup_pids *l, const struct proc *p)
{
	if (p->pid && p->state != PROC_STOPPED)
		l->v[l->n++] = p->pid;
}

/* Without a cgroup of its own, what it has started besides init and execs is not known here. */
static int list_pids(const struct container *c, struct cgroup_pids *ret, struct err *e)
{
	AUTO_CGROUP struct cgroup *cg = NULL;
	size_t n = 1;

	if (c->has_own_cgroup)
		return container_load_cgroup(c, &cg, e) < 0 ? -1 : cgroup_list_pids(cg, ret, e);
	for (const struct proc *p = c->execs; p; p = p->next)
		n++;
	ret->v = xcalloc(n, sizeof *ret->v);
	add_pid(ret, &c->init);
	for (const struct proc *p = c->execs; p; p = p->next)
		add_pid(ret, p);
	return 0;
}

void task_pids(struct ttrpc_call *call)
{
	const Containerd__Task__V3__PidsRequest *q = call->req;
	Containerd__Task__V3__PidsResponse r = CONTAINERD__TASK__V3__PIDS_RESPONSE__INIT;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };
	struct err e = { 0 };
	struct container *c = container_get(call->user, q->id, &e);

	if (!c || (c->init.state != PROC_STOPPED && list_pids(c, &pids, &e) < 0)) {
		ttrpc_fail(call, &e);
		return;
	}
	r.processes = arena_array(a, pids.n + 1, sizeof *r.processes);
	r.n_processes = pids.n;
	for (size_t i = 0; i < pids.n; i++) {
		r.processes[i] = ARENA_NEW(a, Containerd__V1__Types__ProcessInfo);
		containerd__v1__types__process_info__init(r.processes[i]);
		r.processes[i]->pid = (uint32_t)pids.v[i];
		r.processes[i]->info = details_of(a, c, pids.v[i]);
	}
	ttrpc_reply(call, &r.base);
}
