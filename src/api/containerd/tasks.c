/* The Tasks service: what runs.  Each call is one call of task/; Wait is parked. */
#include "task/task.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/exit_wait.h"
#include "api/containerd/history.h"
#include "api/containerd/services.h"
#include "api/containerd/task_rootfs.h"
#include "api/containerd/tasks_checkpoint.h"
#include "base/filter.h"
#include "base/str.h"
#include "engine/nri.h"

#include "containerd/services/tasks/v1/tasks.pb-c.h"
#include "containerd/types/runc/options/oci.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <string.h>

#define V1(name) Containerd__Services__Tasks__V1__##name

/* The task a request names. */
static int find(struct rpc_call *c, const char *id, struct call *call, struct task **ret,
		struct err *e)
{
	if (api_call(c, call, e) < 0)
		return -1;
	return task_get(call->engine->tasks, call->ns, id, ret, e);
}

/* --- create ------------------------------------------------------------------------------------
 */

/* Where the sandbox's shim listens, when the client says so: in the request or, as clients of 2.0
 * to 2.2 do, in the runtime's options. */
static int take_endpoint(const V1(CreateTaskRequest) * q, const struct any *options,
			 struct task_new *n, struct arena *a, struct err *e)
{
	const Containerd__Runc__V1__Options *o =
		conv_unpack(a, options, &containerd__runc__v1__options__descriptor);
	const char *address = q->task_api_address;
	uint32_t version = q->task_api_version;

	if (!*address && o) {
		address = o->task_api_address;
		version = o->task_api_version;
	}
	if (!*address || !*n->sandbox)
		return 0;
	if (!str_starts(address, "ttrpc+unix://"))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the address of sandbox %s is not of the form ttrpc+unix://PATH: %s",
			       n->sandbox, address);
	n->sandbox_address = address + strlen("ttrpc+");
	n->sandbox_version = version;
	return 0;
}

/* A task of that name that is there already keeps its mounts. */
static int create_on_mounts(struct call *call, const struct container_record *r, struct task_new *n,
			    uint32_t *ret_pid, struct err *e)
{
	AUTO_TASK struct task *other = NULL;
	struct err none = { 0 };

	if (task_get(call->engine->tasks, call->ns, r->id, &other, &none) < 0 &&
	    task_rootfs_activate(call, r->id, &n->rootfs, e) < 0)
		return -1;
	if (engine_task_create(call, r, n, ret_pid, e) == 0)
		return 0;
	if (!other)
		task_rootfs_deactivate(call, r->id);
	return -1;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(CreateTaskRequest) *q = req;
	V1(CreateTaskResponse) *a = rsp;
	struct container_record r;
	struct tasks_restore restore;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    container_get(call.engine->store, call.ns, c->arena, q->container_id, &r, e) < 0)
		return -1;

	struct any own = conv_any(q->options);
	struct task_new n = {
		.ns = call.ns,
		.id = r.id,
		.runtime = r.runtime_name,
		.runtime_path = api_text_or_null(q->runtime_path),
		.spec = r.spec,
		/* an Any without a value counts as none: the container's options stand */
		.options = own.type_url && own.n ? own : r.runtime_options,
		.rootfs = conv_mounts(c->arena, q->rootfs, q->n_rootfs),
		.io = { q->stdin, q->stdout, q->stderr, q->terminal },
		.sandbox = r.sandbox,
		.sandboxes = call.engine->sandboxes,
		.deadline = call.deadline,
	};
	if (take_endpoint(q, &own, &n, c->arena, e) < 0 ||
	    tasks_restore_from(&call, q, &n, &restore, e) < 0 ||
	    create_on_mounts(&call, &r, &n, &a->pid, e) < 0) {
		history_failed(call.engine->history, call.ns, r.id, e);
		return -1;
	}
	a->container_id = (char *)r.id;
	return 0;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static int start(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StartRequest) *q = req;
	V1(StartResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	if (engine_task_start(&call, t, q->exec_id, &a->pid, e) == 0)
		return 0;
	if (!*q->exec_id)
		history_failed(call.engine->history, call.ns, q->container_id, e);
	return -1;
}

static int end(struct rpc_call *c, const char *container, const char *exec_id,
	       V1(DeleteResponse) * a, struct err *e)
{
	AUTO_TASK struct task *t = NULL;
	struct task_exit x = { 0 };
	struct call call;

	if (find(c, container, &call, &t, e) < 0 ||
	    engine_task_delete(&call, t, exec_id, &x, e) < 0)
		return -1;
	if (!*exec_id)
		task_rootfs_deactivate(&call, container);
	a->id = arena_strdup(c->arena, *exec_id ? exec_id : container);
	a->pid = x.pid;
	a->exit_status = x.status;
	a->exited_at = conv_timestamp(c->arena, x.at);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(DeleteTaskRequest) *q = req;

	return end(c, q->container_id, "", rsp, e);
}

static int delete_process(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(DeleteProcessRequest) *q = req;

	if (!*q->exec_id)
		return err_set(e, ERR_INVALID_ARGUMENT, "exec id is required");
	return end(c, q->container_id, q->exec_id, rsp, e);
}

static int kill_process(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(KillRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return task_kill(t, q->exec_id, q->signal, q->all, e);
}

static int exec(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ExecProcessRequest) *q = req;
	const struct task_io io = { q->stdin, q->stdout, q->stderr, q->terminal };
	struct any spec = conv_any(q->spec);
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (!*q->exec_id)
		return err_set(e, ERR_INVALID_ARGUMENT, "exec id cannot be empty");
	if (api_identifier(q->exec_id, e) < 0 || find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return task_exec(t, q->exec_id, &spec, &io, e);
}

static int resize(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ResizePtyRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return task_resize(t, q->exec_id, q->width, q->height, e);
}

static int close_io(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(CloseIORequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return q->stdin ? task_close_io(t, q->exec_id, e) : 0;
}

static int pause_task(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(PauseTaskRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return task_pause(t, e);
}

static int resume(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ResumeTaskRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return task_resume(t, e);
}

static int update(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(UpdateTaskRequest) *q = req;
	struct labels annotations = CONV_LABELS(c->arena, q, annotations);
	struct any resources = conv_any(q->resources);
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return engine_task_update(&call, t, &resources, &annotations, e);
}

/* --- questions -----------------------------------------------------------------------------------
 */

static Containerd__V1__Types__Process *process(struct arena *a, const struct task_state *s)
{
	Containerd__V1__Types__Process *p = ARENA_NEW(a, Containerd__V1__Types__Process);

	containerd__v1__types__process__init(p);
	p->id = (char *)(*s->exec_id ? s->exec_id : s->container_id);
	p->pid = s->pid;
	p->status = (Containerd__V1__Types__Status)s->status;
	p->stdin = (char *)s->in;
	p->stdout = (char *)s->out;
	p->stderr = (char *)s->err;
	p->terminal = s->terminal;
	p->exit_status = s->exit.status;
	p->exited_at = conv_timestamp(a, s->exit.at);
	return p;
}

static int get(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(GetRequest) *q = req;
	V1(GetResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct task_state s;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0 ||
	    task_state(t, q->exec_id, c->arena, &s, e) < 0)
		return -1;
	a->process = process(c->arena, &s);
	return 0;
}

static int list(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	V1(ListTasksResponse) *a = rsp;
	struct task_state *v;
	struct call call;
	size_t n;

	if (api_call(c, &call, e) < 0 ||
	    task_list(call.engine->tasks, call.ns, c->arena, &v, &n, e) < 0)
		return -1;
	a->tasks = arena_array(c->arena, n, sizeof *a->tasks);
	for (size_t i = 0; i < n; i++)
		a->tasks[a->n_tasks++] = process(c->arena, &v[i]);
	return 0;
}

static int list_pids(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ListPidsRequest) *q = req;
	V1(ListPidsResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct task_pid *v;
	struct call call;
	size_t n;

	if (find(c, q->container_id, &call, &t, e) < 0 || task_pids(t, c->arena, &v, &n, e) < 0)
		return -1;
	a->processes = arena_array(c->arena, n, sizeof *a->processes);
	for (size_t i = 0; i < n; i++) {
		Containerd__V1__Types__ProcessInfo *p =
			ARENA_NEW(c->arena, Containerd__V1__Types__ProcessInfo);

		containerd__v1__types__process_info__init(p);
		p->pid = v[i].pid;
		p->info = conv_to_any(c->arena, &v[i].info);
		a->processes[a->n_processes++] = p;
	}
	return 0;
}

struct subject {
	const char *id, *ns;
};

static const char *metric_field(const void *obj, const char *const *path, size_t n)
{
	const struct subject *s = obj;

	if (n != 1)
		return NULL;
	if (strcmp(path[0], "id") == 0)
		return s->id;
	return strcmp(path[0], "namespace") == 0 ? s->ns : NULL;
}

/* NULL for a task that has no figures just now: the others' still count. */
static Containerd__Types__Metric *metric(struct rpc_call *c, const struct call *call,
					 const char *id)
{
	Containerd__Types__Metric *m = ARENA_NEW(c->arena, Containerd__Types__Metric);
	AUTO_TASK struct task *t = NULL;
	struct timespec now;
	struct err e = { 0 };
	struct any data;

	if (task_get(call->engine->tasks, call->ns, id, &t, &e) < 0 ||
	    task_stats(t, c->arena, &data, &e) < 0) {
		log_debug(LOG({ "id", id }, { "error", e.msg }), "no metrics of a task");
		return NULL;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	containerd__types__metric__init(m);
	m->id = arena_strdup(c->arena, id);
	m->timestamp = conv_timestamp(c->arena, now);
	m->data = conv_to_any(c->arena, &data);
	return m;
}

static int metrics(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(MetricsRequest) *q = req;
	V1(MetricsResponse) *a = rsp;
	AUTO_FILTER struct filter_set *filters = NULL;
	struct task_state *v;
	struct call call;
	size_t n;

	if (api_call(c, &call, e) < 0 || filter_compile(CONV_FILTERS(q), &filters, e) < 0 ||
	    task_list(call.engine->tasks, call.ns, c->arena, &v, &n, e) < 0)
		return -1;
	a->metrics = arena_array(c->arena, n, sizeof *a->metrics);
	for (size_t i = 0; i < n; i++) {
		const struct subject s = { v[i].container_id, call.ns };
		Containerd__Types__Metric *m;

		if (!filter_match(filters, metric_field, &s))
			continue;
		m = metric(c, &call, v[i].container_id);
		if (m)
			a->metrics[a->n_metrics++] = m;
	}
	return 0;
}

static int wait_end(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(WaitRequest) *q = req;
	V1(WaitResponse) *a = rsp;
	const struct exit_answer answer = { a, &a->exit_status, &a->exited_at };
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->container_id, &call, &t, e) < 0)
		return -1;
	return exit_wait(c, call.engine->tasks, t, q->exec_id, &answer);
}

#define M(name, req, rsp, fn)                                   \
	RPC_UNARY(name, containerd__services__tasks__v1__##req, \
		  containerd__services__tasks__v1__##rsp, fn)
#define M_EMPTY(name, req, fn) \
	RPC_UNARY(name, containerd__services__tasks__v1__##req, google__protobuf__empty, fn)
const struct rpc_method tasks_methods[] = {
	M("Create", create_task_request, create_task_response, create),
	M("Start", start_request, start_response, start),
	M("Delete", delete_task_request, delete_response, delete),
	M("DeleteProcess", delete_process_request, delete_response, delete_process),
	M("Get", get_request, get_response, get),
	M("List", list_tasks_request, list_tasks_response, list),
	M_EMPTY("Kill", kill_request, kill_process),
	M_EMPTY("Exec", exec_process_request, exec),
	M_EMPTY("ResizePty", resize_pty_request, resize),
	M_EMPTY("CloseIO", close_iorequest, close_io),
	M_EMPTY("Pause", pause_task_request, pause_task),
	M_EMPTY("Resume", resume_task_request, resume),
	M("ListPids", list_pids_request, list_pids_response, list_pids),
	M("Checkpoint", checkpoint_task_request, checkpoint_task_response, tasks_checkpoint),
	M_EMPTY("Update", update_task_request, update),
	M("Metrics", metrics_request, metrics_response, metrics),
	M("Wait", wait_request, wait_response, wait_end),
	RPC_END,
};
