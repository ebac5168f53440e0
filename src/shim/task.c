#include "shim/task.h"

#include "base/mem.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "loop/loop.h"
#include "runtime/runtime.h"
#include "shim/memory.h"
#include "shim/rootfs.h"
#include "shim/streams.h"
#include "wire/ttrpc_server.h"

#include <fcntl.h>
#include <string.h>

const char *const proc_state_names[] = {
	[PROC_CREATED] = "created",
	[PROC_RUNNING] = "running",
	[PROC_PAUSED] = "paused",
	[PROC_STOPPED] = "stopped",
};

static const bool allowed[4][4] = {
	[PROC_CREATED] = { [PROC_RUNNING] = true, [PROC_STOPPED] = true },
	[PROC_RUNNING] = { [PROC_PAUSED] = true, [PROC_STOPPED] = true },
	[PROC_PAUSED] = { [PROC_RUNNING] = true, [PROC_STOPPED] = true },
};

void proc_set_state(struct proc *p, enum proc_state to)
{
	if (!allowed[p->state][to])
		BUG("a process state that cannot follow");
	p->state = to;
	if (to != PROC_STOPPED)
		return;
	close_fd(&p->pidfd);
	p->pidfd = -1;
	p->is_pausing = false;
}

struct container *container_get(struct shim *s, const char *id, struct err *e)
{
	memory_used(s->memory); /* every call comes through here */
	for (struct container *c = s->containers; c; c = c->next)
		if (!c->is_creating && strcmp(c->id, id) == 0)
			return c;
	err_set(e, ERR_NOT_FOUND, "container not created");
	return NULL;
}

struct proc *proc_get(struct shim *s, const char *id, const char *exec_id, struct err *e)
{
	struct container *c = container_get(s, id, e);

	if (!c)
		return NULL;
	if (!*exec_id)
		return &c->init;
	for (struct proc *p = c->execs; p; p = p->next)
		if (strcmp(p->id, exec_id) == 0)
			return p;
	err_set(e, ERR_NOT_FOUND, "process does not exist %s", exec_id);
	return NULL;
}

bool proc_is_init(const struct proc *p)
{
	return p == &p->container->init;
}

static void proc_init(struct proc *p, struct container *c, const char *id)
{
	*p = (struct proc){ .container = c, .id = xstrdup(id), .pidfd = -1 };
}

struct container *container_new(struct shim *s, const char *id, const char *bundle)
{
	struct container *c = NEW(struct container);

	c->shim = s;
	c->id = xstrdup(id);
	c->bundle = xstrdup(bundle);
	c->bundlefd = -1;
	c->is_creating = true;
	c->oom.fd = c->oom.event_fd = -1;
	proc_init(&c->init, c, "");
	c->next = s->containers;
	s->containers = c;
	return c;
}

void call_list_add(struct call_list **l, struct ttrpc_call *call)
{
	struct call_list *n = NEW(struct call_list);

	*n = (struct call_list){ call, *l };
	*l = n;
}

void call_list_remove(struct call_list **l, const struct ttrpc_call *call)
{
	for (; *l; l = &(*l)->next)
		if ((*l)->call == call) {
			struct call_list *n = *l;

			*l = n->next;
			free(n);
			return;
		}
}

static struct call_list *call_list_reverse(struct call_list *l)
{
	struct call_list *r = NULL;

	while (l) {
		struct call_list *next = l->next;

		l->next = r;
		r = l;
		l = next;
	}
	return r;
}

static void dispatch(void *arg)
{
	struct ttrpc_call *call = arg;

	call->method->fn(call);
}

/* In the order they came; from the loop, so that the one at hand has ended. */
static void dispatch_all(struct loop *l, struct call_list **list)
{
	struct call_list *n = call_list_reverse(*list);

	*list = NULL;
	while (n) {
		struct call_list *next = n->next;

		loop_post(l, dispatch, n->call);
		free(n);
		n = next;
	}
}

static void proc_done(struct proc *p)
{
	struct loop *l = p->container->shim->loop;

	proc_answer_waiters(p);
	streams_free(p->io);
	loop_timer_remove(p->drain_timer);
	close_fd(&p->pidfd);
	if (p->pid_file)
		(void)unlink(p->pid_file); /* the bundle goes anyway */
	free(p->pid_file);
	free(p->id);
	free(p->in);
	free(p->out);
	free(p->err);
	free(p->spec);
	dispatch_all(l, &p->queue);
}

void container_free(struct container *c)
{
	struct container **at = &c->shim->containers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->execs)
		exec_free(c->execs);
	proc_done(&c->init);
	loop_io_remove(c->oom_io);
	if (c->oom_io)
		cgroup_oom_close(&c->oom);
	arena_free(c->cgroup_arena);
	oci_runtime_done(&c->runtime);
	close_fd(&c->bundlefd);
	free(c->id);
	free(c->bundle);
	free(c->checkpoint);
	free(c->parent_checkpoint);
	free(c->criu_work);
	free(c);
}

/* On hybrid layouts a container has a folder in the v2 hierarchy only for limits that live there;
 * without one, init is where we are: not a place to count in. */
static void drop_foreign(struct oci_pairs *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		bool is_own = *p->v[i].key || i == 0 ||
			      strcmp(strrchr(p->v[i].value, '/'), strrchr(p->v[0].value, '/')) == 0;

		if (is_own)
			p->v[kept++] = p->v[i];
	}
	p->n = kept;
}

static bool is_ours(struct arena *a, const struct oci_pairs *p)
{
	AUTO_CGROUP struct cgroup *cg = NULL;
	struct err ignored = { 0 };
	struct oci_pairs own;
	size_t same = 0;

	if (cgroup_load_pid(getpid(), &cg, &ignored) < 0)
		return false;
	cgroup_paths(cg, a, &own);
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < own.n; k++)
			same += !strcmp(p->v[i].key, own.v[k].key) &&
				!strcmp(p->v[i].value, own.v[k].value);
	return same == p->n;
}

/* Our own runtime's container, wherever its init has gone. */
static void note_made_cgroup(struct container *c)
{
	const struct runtime lib = { .root = c->runtime.root };
	struct runtime_state s;
	struct err ignored = { 0 };

	c->cgroup_arena = arena_new();
	if (runtime_state(&lib, c->cgroup_arena, c->id, &s, &ignored) == 0)
		c->cgroup_paths = s.cgroup_paths;
	c->has_own_cgroup = true;
}

void container_note_cgroup(struct container *c)
{
	AUTO_CGROUP struct cgroup *cg = NULL;
	struct err ignored = { 0 }; /* without cgroups, each question says so again */

	if (c->cgroup_arena)
		return;
	if (!c->runtime.binary) {
		note_made_cgroup(c);
		return;
	}
	if (cgroup_load_pid(c->init.pid, &cg, &ignored) < 0)
		return;
	c->cgroup_arena = arena_new();
	cgroup_paths(cg, c->cgroup_arena, &c->cgroup_paths);
	c->has_own_cgroup = !is_ours(c->cgroup_arena, &c->cgroup_paths);
	if (cgroup_layout_of(cg) != CGROUP_V2)
		drop_foreign(&c->cgroup_paths);
}

int container_load_cgroup(const struct container *c, struct cgroup **ret, struct err *e)
{
	if (c->cgroup_paths.n)
		return cgroup_load(&c->cgroup_paths, ret, e);
	return cgroup_load_pid(c->init.pid, ret, e);
}

struct proc *exec_new(struct container *c, const char *id)
{
	struct proc *p = NEW(struct proc);

	proc_init(p, c, id);
	p->next = c->execs;
	c->execs = p;
	return p;
}

void exec_free(struct proc *p)
{
	struct proc **at = &p->container->execs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	proc_done(p);
	FREE_SHARED(p);
}

bool proc_defer(struct proc *p, struct ttrpc_call *call)
{
	if (!p->is_busy)
		return false;
	call_list_add(&p->queue, call);
	return true;
}

void proc_begin(struct proc *p, struct ttrpc_call *call)
{
	p->is_busy = true;
	p->op = call;
}

struct ttrpc_call *proc_end(struct proc *p)
{
	struct ttrpc_call *call = p->op;

	p->is_busy = false;
	p->op = NULL;
	memory_used(p->container->shim->memory);
	dispatch_all(p->container->shim->loop, &p->queue);
	return call;
}

void proc_answer_wait(const struct proc *p, struct ttrpc_call *call)
{
	Containerd__Task__V3__WaitResponse r = CONTAINERD__TASK__V3__WAIT_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	at.seconds = p->exited_at.tv_sec;
	at.nanos = (int32_t)p->exited_at.tv_nsec;
	r.exit_status = p->exit_status;
	r.exited_at = &at;
	ttrpc_reply(call, &r.base);
}

/* The caller has gone: its Wait is forgotten. */
static void waiter_gone(struct ttrpc_call *call)
{
	struct proc *p = call->data;
	struct err e = { 0 };

	call_list_remove(&p->waiters, call);
	err_set(&e, ERR_CANCELLED, "context canceled");
	ttrpc_fail(call, &e);
}

void proc_add_waiter(struct proc *p, struct ttrpc_call *call)
{
	call->data = p;
	call->on_cancel = waiter_gone;
	call_list_add(&p->waiters, call);
}

/* One at a time off the list: an answer that a dead peer refuses ends its connection, and with it
 * other Waits that stand here. */
void proc_answer_waiters(struct proc *p)
{
	p->waiters = call_list_reverse(p->waiters);
	while (p->waiters) {
		struct call_list *n = p->waiters;

		p->waiters = n->next;
		n->call->on_cancel = NULL;
		proc_answer_wait(p, n->call);
		free(n);
	}
}
