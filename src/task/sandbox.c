#include "task/sandbox.h"

#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "containerd/events/sandbox.pb-c.h"
#include "containerd/runtime/sandbox/v1/sandbox.pb-c.h"

#include <string.h>

#define V1(name) Containerd__Runtime__Sandbox__V1__##name
#define V1_INIT(name) CONTAINERD__RUNTIME__SANDBOX__V1__##name##__INIT
#define V1_TYPE(name) &containerd__runtime__sandbox__v1__##name##__descriptor

static const char service[] = "containerd.runtime.sandbox.v1.Sandbox";

struct tasks *sandboxes_new(const struct tasks_env *env)
{
	struct tasks *ts = tasks_new(env);

	ts->folder = "io.containerd.sandbox.controller.v1.shim";
	ts->service = service;
	return ts;
}

static char *text(const char *s)
{
	return (char *)(s ?: "");
}

static void set_annotations(V1(CreateSandboxRequest) * req, const struct labels *l, struct arena *a)
{
	req->n_annotations = l->n;
	req->annotations = arena_array(a, l->n + 1, sizeof *req->annotations);
	for (size_t i = 0; i < l->n; i++) {
		V1(CreateSandboxRequest__AnnotationsEntry) *entry = arena_alloc(a, sizeof *entry);

		containerd__runtime__sandbox__v1__create_sandbox_request__annotations_entry__init(
			entry);
		entry->key = text(l->v[i].key);
		entry->value = text(l->v[i].value);
		req->annotations[i] = entry;
	}
}

static int call_create(struct task *t, const struct sandbox_new *n, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	V1(CreateSandboxRequest) req = V1_INIT(CREATE_SANDBOX_REQUEST);
	Google__Protobuf__Any options = GOOGLE__PROTOBUF__ANY__INIT;

	req.sandbox_id = t->id;
	req.bundle_path = t->bundle;
	req.netns_path = text(n->netns_path);
	req.n_rootfs = n->rootfs.n;
	req.rootfs = task_mounts_to(&n->rootfs, a);
	set_annotations(&req, &n->annotations, a);
	if (n->options.type_url) {
		options.type_url = text(n->options.type_url);
		options.value = (ProtobufCBinaryData){ n->options.n, (uint8_t *)n->options.value };
		req.options = &options;
	}
	if (task_call(t, "CreateSandbox", t->ts->env->timeouts.start, &req, NULL, NULL, e) < 0)
		return err_wrap(e, "failed to create sandbox %s", t->id);
	return 0;
}

/* A shim without the sandbox API goes as one without containers does. */
static void shut_down_plain(struct task *t)
{
	Containerd__Task__V3__ShutdownRequest req = CONTAINERD__TASK__V3__SHUTDOWN_REQUEST__INIT;
	struct bootstrap b;
	struct err ignored = { 0 };
	struct conn *c = task_conn(t, &ignored);

	if (!c)
		return;
	if (bundle_load_bootstrap(t, &b, &ignored) == 0) {
		const struct ttrpc_target to = { .service = b.version >= 3
								    ? "containerd.task.v3.Task"
								    : "containerd.task.v2.Task",
						 .method = "Shutdown",
						 .ns = t->ns,
						 .timeout = t->ts->env->timeouts.shutdown };

		req.id = t->id;
		(void)ttrpc_client_call_wait(c->client, &to, &req.base, NULL, NULL, &ignored);
	}
	conn_unref(c);
}

/* Tells the shim to go; true when nothing is left to clean up. */
static bool call_shutdown(struct task *t, struct err *e)
{
	V1(ShutdownSandboxRequest) req = V1_INIT(SHUTDOWN_SANDBOX_REQUEST);

	req.sandbox_id = t->id;
	if (!task_call(t, "ShutdownSandbox", TASK_CALL_NS, &req, NULL, NULL, e))
		return true;
	if (e->code == ERR_UNIMPLEMENTED)
		shut_down_plain(t);
	if (e->code != ERR_UNAVAILABLE) /* it may end before it has answered */
		return false;
	err_clear(e);
	return true;
}

/* False: not all of it. */
static bool undo(struct task *t)
{
	struct task_exit x;
	struct err e = { 0 };

	(void)call_shutdown(t, &e);
	err_clear(&e);
	if (shim_delete(t, &x, &e) == 0)
		return true;
	log_warn(LOG({ "sandbox", t->id }, { "error", e.msg }), "failed to clean up the shim");
	return false;
}

static int create_steps(struct task *t, const struct sandbox_new *n, bool *ret_is_clean,
			struct err *e)
{
	if (bundle_make(t, &n->spec, e) < 0)
		return -1;
	int r = task_start_shim(t, &n->runtime_options, e);

	if (r < 0)
		err_wrap(e, "failed to start new shim for sandbox %s", t->id);
	else
		r = call_create(t, n, e);
	shim_start_end(t);
	/* A shim without that service has made nothing, and its delete verb finds that a mistake.
	 */
	if (r < 0)
		*ret_is_clean = undo(t) || e->code == ERR_UNIMPLEMENTED;
	return r;
}

int sandbox_bring_up(struct tasks *sandboxes, const struct sandbox_new *n, struct err *e)
{
	AUTO_FREE char *shim = NULL;

	if (!ident_is_valid(n->id)) /* it becomes a path */
		return err_set(e, ERR_INVALID_ARGUMENT, "identifier \"%.80s\" is not valid", n->id);
	if (runtime_to_shim(n->runtime, sandboxes->env->self, &shim, e) < 0)
		return err_wrap(e, "failed to start new shim for sandbox %s", n->id);
	AUTO_TASK struct task *t = task_new(sandboxes, n->ns, n->id);

	t->shim_path = TAKE_PTR(shim);
	if (tasks_add(sandboxes, t, e) < 0)
		return -1;
	bool is_clean = true;

	if (create_steps(t, n, &is_clean, e) < 0) {
		task_bury(t, &(struct task_exit){ 0 }, is_clean); /* nobody waits for it yet */
		return -1;
	}
	task_alive(t);
	return 0;
}

/* Where tasks of the sandbox find its shim, as clients hand it on. */
static void endpoint(const struct task *t, struct arena *a, const char **ret, uint32_t *ret_version)
{
	struct bootstrap b = { 0 };
	struct err absent = { 0 };

	if (bundle_load_bootstrap(t, &b, &absent) < 0)
		return;
	*ret = arena_printf(a, "ttrpc+%s", b.address);
	*ret_version = (uint32_t)b.version;
}

int sandbox_start(struct task *t, struct arena *a, struct sandbox_started *ret, struct err *e)
{
	V1(StartSandboxRequest) req = V1_INIT(START_SANDBOX_REQUEST);
	V1(StartSandboxResponse) *rsp = NULL;

	*ret = (struct sandbox_started){ .address = "" };
	req.sandbox_id = t->id;
	if (task_call(t, "StartSandbox", t->ts->env->timeouts.start, &req,
		      V1_TYPE(start_sandbox_response), &rsp, e) < 0)
		return err_wrap(e, "failed to start sandbox %s", t->id);
	ret->pid = rsp->pid;
	ret->created = task_time(rsp->created_at);
	ret->spec = task_any_from(rsp->spec, a);
	endpoint(t, a, &ret->address, &ret->version);
	task_note_status(t, TASK_RUNNING, rsp->pid);
	task_watch(t); /* not before: some shims answer a Wait at once until then */
	containerd__runtime__sandbox__v1__start_sandbox_response__free_unpacked(rsp, NULL);
	return 0;
}

int sandbox_status(struct task *t, bool verbose, struct arena *a, struct sandbox_status *ret,
		   struct err *e)
{
	V1(SandboxStatusRequest) req = V1_INIT(SANDBOX_STATUS_REQUEST);
	V1(SandboxStatusResponse) *rsp = NULL;

	*ret = (struct sandbox_status){ .state = "", .address = "" };
	req.sandbox_id = t->id;
	req.verbose = verbose;
	if (task_call(t, "SandboxStatus", t->ts->env->timeouts.state, &req,
		      V1_TYPE(sandbox_status_response), &rsp, e) < 0)
		return err_wrap(e, "failed to query sandbox %s status", t->id);
	ret->pid = rsp->pid;
	ret->state = arena_strdup(a, rsp->state);
	ret->created = task_time(rsp->created_at);
	ret->exited = task_time(rsp->exited_at);
	ret->extra = task_any_from(rsp->extra, a);
	ret->info.v = arena_array(a, rsp->n_info, sizeof *ret->info.v);
	for (size_t i = 0; i < rsp->n_info; i++)
		ret->info.v[ret->info.n++] = (struct label){ arena_strdup(a, rsp->info[i]->key),
							     arena_strdup(a, rsp->info[i]->value) };
	endpoint(t, a, &ret->address, &ret->version);
	containerd__runtime__sandbox__v1__sandbox_status_response__free_unpacked(rsp, NULL);
	return 0;
}

int sandbox_platform(struct task *t, struct arena *a, struct sandbox_platform *ret, struct err *e)
{
	V1(PlatformRequest) req = V1_INIT(PLATFORM_REQUEST);
	V1(PlatformResponse) *rsp = NULL;

	*ret = (struct sandbox_platform){ "", "", "" };
	req.sandbox_id = t->id;
	if (task_call(t, "Platform", TASK_CALL_NS, &req, V1_TYPE(platform_response), &rsp, e) < 0)
		return err_wrap(e, "failed to get sandbox platform");
	if (rsp->platform)
		*ret = (struct sandbox_platform){ arena_strdup(a, rsp->platform->os),
						  arena_strdup(a, rsp->platform->architecture),
						  arena_strdup(a, rsp->platform->variant) };
	containerd__runtime__sandbox__v1__platform_response__free_unpacked(rsp, NULL);
	return 0;
}

int sandbox_stop(struct task *t, uint32_t timeout_seconds, struct err *e)
{
	V1(StopSandboxRequest) req = V1_INIT(STOP_SANDBOX_REQUEST);

	req.sandbox_id = t->id;
	req.timeout_secs = timeout_seconds;
	if (!task_call(t, "StopSandbox", t->ts->env->timeouts.start, &req, NULL, NULL, e))
		return 0;
	if (e->code != ERR_NOT_FOUND && e->code != ERR_UNAVAILABLE)
		return err_wrap(e, "failed to stop sandbox");
	err_clear(e); /* it does not run: as asked */
	return 0;
}

int sandbox_metrics(struct task *t, struct arena *a, struct any *ret, struct err *e)
{
	V1(SandboxMetricsRequest) req = V1_INIT(SANDBOX_METRICS_REQUEST);
	V1(SandboxMetricsResponse) *rsp = NULL;

	req.sandbox_id = t->id;
	if (task_call(t, "SandboxMetrics", t->ts->env->timeouts.state, &req,
		      V1_TYPE(sandbox_metrics_response), &rsp, e) < 0)
		return -1;
	*ret = task_any_from(rsp->metrics ? rsp->metrics->data : NULL, a);
	containerd__runtime__sandbox__v1__sandbox_metrics_response__free_unpacked(rsp, NULL);
	return 0;
}

int sandbox_shutdown(struct task *t, struct err *e)
{
	struct task_exit x = { 0 };
	struct err late = { 0 };

	if (!task_set_phase(t, PHASE_DELETING))
		return err_set(e, ERR_FAILED_PRECONDITION, "sandbox %s is being deleted", t->id);
	if (!call_shutdown(t, e) && e->code != ERR_NOT_FOUND) {
		task_alive(t);
		return err_wrap(e, "failed to shutdown sandbox");
	}
	err_clear(e);
	bool is_clean = shim_delete(t, &x, &late) == 0;

	if (!is_clean)
		log_warn(LOG({ "sandbox", t->id }, { "error", late.msg }), "failed to clean up");
	if (!x.at.tv_sec)
		clock_gettime(CLOCK_REALTIME, &x.at);
	sandbox_note_end(t, &x);
	task_bury(t, &x, is_clean);
	return 0;
}

/* --- what the rest of task/ wants of it --- */

int tasks_endpoint(struct tasks *ts, const char *ns, const char *id, struct bootstrap *ret)
{
	AUTO_TASK struct task *t = NULL;
	struct err absent = { 0 };

	if (!ts || task_get(ts, ns, id, &t, &absent) < 0)
		return -1;
	return bundle_load_bootstrap(t, ret, &absent);
}

void sandbox_note_end(struct task *t, const struct task_exit *x)
{
	Containerd__Events__SandboxExit ev = CONTAINERD__EVENTS__SANDBOX_EXIT__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	pthread_mutex_lock(&t->lock);
	bool is_known = t->has_ended;

	t->has_ended = true;
	pthread_mutex_unlock(&t->lock);
	if (is_known)
		return;
	task_note_exit(t, x);
	at.seconds = x->at.tv_sec;
	at.nanos = (int32_t)x->at.tv_nsec;
	ev.sandbox_id = t->id;
	ev.exit_status = x->status;
	ev.exited_at = &at;
	task_publish(t, "/sandboxes/exit", "containerd.events.SandboxExit", &ev.base);
}

int sandbox_ask(struct task *t, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct sandbox_status s;

	if (sandbox_status(t, false, a, &s, e) < 0)
		return -1;
	task_note_status(t, TASK_RUNNING, s.pid);
	return 0;
}
