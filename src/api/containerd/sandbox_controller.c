/* The sandbox Controller service: each call is one call of task/; Wait is parked.
 * One controller is here, `shim`, whose sandboxes are shims with the sandbox API; others are
 * services of other programs (proxy_plugins), which get the calls that name them. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/exit_wait.h"
#include "api/containerd/proxy_call.h"
#include "api/containerd/publish.h"
#include "api/containerd/sandbox_record.h"
#include "api/containerd/services.h"
#include "task/sandbox.h"

#include "containerd/events/sandbox.pb-c.h"
#include "containerd/services/sandbox/v1/sandbox.pb-c.h"
#include <string.h>

#define V1(name) Containerd__Services__Sandbox__V1__##name

static int check_controller(const char *name, struct err *e)
{
	if (!*name)
		return err_set(e, ERR_INVALID_ARGUMENT, "sandbox controller name can not be empty");
	if (strcmp(name, "shim") != 0)
		return err_set(e, ERR_NOT_FOUND, "failed to get sandbox controller by %s", name);
	return 0;
}

static int find(struct rpc_call *c, const char *controller, const char *id, struct call *call,
		struct task **ret, struct err *e)
{
	if (api_call(c, call, e) < 0 || check_controller(controller, e) < 0)
		return -1;
	return task_get(call->engine->sandboxes, call->ns, id, ret, e);
}

/* Clients of 1.7 send the id alone: the rest is in the store. */
static int record_of(const struct call *call, const V1(ControllerCreateRequest) * q,
		     struct sandbox_record *ret, struct err *e)
{
	if (!q->sandbox)
		return sandbox_get(call->engine->store, call->ns, call->arena, q->sandbox_id, ret,
				   e);
	*ret = sandbox_from_pb(call->arena, q->sandbox);
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerCreateRequest) *q = req;
	V1(ControllerCreateResponse) *a = rsp;
	Containerd__Events__SandboxCreate ev = CONTAINERD__EVENTS__SANDBOX_CREATE__INIT;
	struct sandbox_record r;
	struct call call;

	if (api_call(c, &call, e) < 0 || check_controller(q->sandboxer, e) < 0 ||
	    api_identifier(q->sandbox_id, e) < 0 || record_of(&call, q, &r, e) < 0)
		return -1;

	const struct sandbox_new n = {
		.ns = call.ns,
		.id = q->sandbox_id,
		.runtime = *r.runtime_name ? r.runtime_name : "io.containerd.runc.v2",
		.spec = r.spec,
		.runtime_options = r.runtime_options,
		.options = conv_any(q->options),
		.rootfs = conv_mounts(c->arena, q->rootfs, q->n_rootfs),
		.netns_path = q->netns_path,
		.annotations = CONV_LABELS(c->arena, q, annotations),
	};

	if (sandbox_bring_up(call.engine->sandboxes, &n, e) < 0)
		return -1;
	ev.sandbox_id = q->sandbox_id;
	api_publish(&call, "/sandboxes/create", &ev.base);
	a->sandbox_id = q->sandbox_id;
	return 0;
}

static int start(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerStartRequest) *q = req;
	V1(ControllerStartResponse) *a = rsp;
	Containerd__Events__SandboxStart ev = CONTAINERD__EVENTS__SANDBOX_START__INIT;
	AUTO_TASK struct task *t = NULL;
	struct sandbox_started s;
	struct call call;

	if (find(c, q->sandboxer, q->sandbox_id, &call, &t, e) < 0 ||
	    sandbox_start(t, c->arena, &s, e) < 0)
		return -1;
	a->sandbox_id = q->sandbox_id;
	a->pid = s.pid;
	a->created_at = conv_timestamp(c->arena, s.created);
	a->address = (char *)s.address;
	a->version = s.version;
	a->spec = conv_to_any(c->arena, &s.spec);
	ev.sandbox_id = q->sandbox_id;
	api_publish(&call, "/sandboxes/start", &ev.base);
	return 0;
}

static int platform(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerPlatformRequest) *q = req;
	V1(ControllerPlatformResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct sandbox_platform p;
	struct call call;

	if (find(c, q->sandboxer, q->sandbox_id, &call, &t, e) < 0 ||
	    sandbox_platform(t, c->arena, &p, e) < 0)
		return -1;
	a->platform = ARENA_NEW(c->arena, Containerd__Types__Platform);
	containerd__types__platform__init(a->platform);
	a->platform->os = (char *)p.os;
	a->platform->architecture = (char *)p.architecture;
	a->platform->variant = (char *)p.variant;
	return 0;
}

/* One that is not there has stopped. */
static int stop(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ControllerStopRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct err absent = { 0 };
	struct call call;

	if (api_call(c, &call, e) < 0 || check_controller(q->sandboxer, e) < 0)
		return -1;
	if (task_get(call.engine->sandboxes, call.ns, q->sandbox_id, &t, &absent) < 0)
		return 0;
	return sandbox_stop(t, q->timeout_secs, e);
}

static int status(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerStatusRequest) *q = req;
	V1(ControllerStatusResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct sandbox_status s = { .state = "", .address = "" };
	struct err absent = { 0 };
	struct call call;

	if (api_call(c, &call, e) < 0 || check_controller(q->sandboxer, e) < 0)
		return -1;
	if (task_get(call.engine->sandboxes, call.ns, q->sandbox_id, &t, &absent) < 0)
		clock_gettime(CLOCK_REALTIME, &s.exited); /* as the original says it */
	else if (sandbox_status(t, q->verbose, c->arena, &s, e) < 0)
		return -1;
	a->sandbox_id = q->sandbox_id;
	a->pid = s.pid;
	a->state = (char *)s.state;
	a->created_at = conv_timestamp(c->arena, s.created);
	a->exited_at = conv_timestamp(c->arena, s.exited);
	a->extra = conv_to_any(c->arena, &s.extra);
	a->address = (char *)s.address;
	a->version = s.version;
	CONV_SET_LABELS(c->arena, a, info, &s.info,
			containerd__services__sandbox__v1__controller_status_response__info_entry);
	return 0;
}

static int shut_down(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ControllerShutdownRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->sandboxer, q->sandbox_id, &call, &t, e) < 0)
		return -1;
	return sandbox_shutdown(t, e);
}

static int metrics(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerMetricsRequest) *q = req;
	V1(ControllerMetricsResponse) *a = rsp;
	AUTO_TASK struct task *t = NULL;
	struct timespec now;
	struct any data;
	struct call call;

	if (find(c, q->sandboxer, q->sandbox_id, &call, &t, e) < 0 ||
	    sandbox_metrics(t, c->arena, &data, e) < 0)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	a->metrics = ARENA_NEW(c->arena, Containerd__Types__Metric);
	containerd__types__metric__init(a->metrics);
	a->metrics->id = q->sandbox_id;
	a->metrics->timestamp = conv_timestamp(c->arena, now);
	a->metrics->data = conv_to_any(c->arena, &data);
	return 0;
}

/* The shims have nothing to be told of a changed record. */
static int update(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ControllerUpdateRequest) *q = req;
	AUTO_TASK struct task *t = NULL;
	struct call call;

	return find(c, q->sandboxer, q->sandbox_id, &call, &t, e);
}

static int wait_end(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ControllerWaitRequest) *q = req;
	V1(ControllerWaitResponse) *a = rsp;
	const struct exit_answer answer = { a, &a->exit_status, &a->exited_at };
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (find(c, q->sandboxer, q->sandbox_id, &call, &t, e) < 0)
		return -1;
	return exit_wait(c, call.engine->sandboxes, t, NULL, &answer);
}

/* Every request says whose it is, in a field of the same name. */
static int by_controller(struct rpc_call *c, const void *req, void *rsp, rpc_fn *own, struct err *e)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(c->method->request, "sandboxer");
	const char *name = f ? *(char *const *)((const char *)req + f->offset) : "";
	const char *address = config_proxy(api_engine(c)->cfg, CONFIG_PROXY_SANDBOX, name);

	return address ? proxy_call(c, address, req, rsp, e) : own(c, req, rsp, e);
}

#define DOOR(fn)                                                                            \
	static int fn##_door(struct rpc_call *c, const void *req, void *rsp, struct err *e) \
	{                                                                                   \
		return by_controller(c, req, rsp, fn, e);                                   \
	}                                                                                   \
	_Static_assert(true, "takes the semicolon")
DOOR(create);
DOOR(start);
DOOR(platform);
DOOR(stop);
DOOR(wait_end);
DOOR(status);
DOOR(shut_down);
DOOR(metrics);
DOOR(update);

#define M(name, req, rsp, fn)                                                \
	RPC_UNARY(name, containerd__services__sandbox__v1__controller_##req, \
		  containerd__services__sandbox__v1__controller_##rsp, fn##_door)
const struct rpc_method sandbox_controller_methods[] = {
	M("Create", create_request, create_response, create),
	M("Start", start_request, start_response, start),
	M("Platform", platform_request, platform_response, platform),
	M("Stop", stop_request, stop_response, stop),
	RPC_UNARY_WAITING("Wait", containerd__services__sandbox__v1__controller_wait_request,
			  containerd__services__sandbox__v1__controller_wait_response,
			  wait_end_door, 1),
	M("Status", status_request, status_response, status),
	M("Shutdown", shutdown_request, shutdown_response, shut_down),
	M("Metrics", metrics_request, metrics_response, metrics),
	M("Update", update_request, update_response, update),
	RPC_END,
};
