/* The RuntimeService: each call is one call of cri/. */
#include "api/containerd/api.h"
#include "api/cri/services.h"
#include "cri/cri.h"

#include <string.h>

#define KUBE_API_VERSION "0.1.0" /* a constant of the interface since its first day */
#define V1(name) Runtime__V1__##name

static struct cri *cri_of(const struct rpc_call *c)
{
	return api_engine(c)->cri;
}

/* --- the node --- */

static int version(UNUSED struct rpc_call *c, UNUSED const void *req, void *rsp,
		   UNUSED struct err *e)
{
	V1(VersionResponse) *r = rsp;

	r->version = (char *)KUBE_API_VERSION;
	r->runtime_name = (char *)"containerd";
	r->runtime_version = (char *)API_VERSION;
	r->runtime_api_version = (char *)"v1";
	return 0;
}

static int status(struct rpc_call *c, const void *req, void *rsp, UNUSED struct err *e)
{
	const V1(StatusRequest) *q = req;

	cri_status(cri_of(c), c->arena, q->verbose, rsp);
	return 0;
}

/* By what the default runtime is configured for: kubelet does as we do. */
static int runtime_config(struct rpc_call *c, UNUSED const void *req, void *rsp,
			  UNUSED struct err *e)
{
	V1(RuntimeConfigResponse) *r = rsp;
	const struct config *cfg = api_engine(c)->cfg;

	r->linux = ARENA_NEW(c->arena, V1(LinuxRuntimeConfiguration));
	runtime__v1__linux_runtime_configuration__init(r->linux);
	r->linux->cgroup_driver = RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
	for (size_t i = 0; i < cfg->n_runtimes; i++)
		if (!strcmp(cfg->runtimes[i].name, cfg->cri.default_runtime) &&
		    cfg->runtimes[i].systemd_cgroup)
			r->linux->cgroup_driver = RUNTIME__V1__CGROUP_DRIVER__SYSTEMD;
	return 0;
}

/* The address range of pods is the network configuration's business: as containerd does without a
 * template for one. */
static int update_runtime_config(UNUSED struct rpc_call *c, UNUSED const void *req,
				 UNUSED void *rsp, UNUSED struct err *e)
{
	return 0;
}

/* --- pods --- */

static int run_pod(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	return cri_run_pod(cri_of(c), c->arena, c->cancel, req, rsp, e);
}

static int stop_pod(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(StopPodSandboxRequest) *q = req;

	return cri_stop_pod(cri_of(c), q->pod_sandbox_id, e);
}

static int remove_pod(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(RemovePodSandboxRequest) *q = req;

	return cri_remove_pod(cri_of(c), q->pod_sandbox_id, e);
}

static int pod_status(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	AUTO_HOLD struct cri_hold h = { 0 };

	return cri_pod_status(cri_of(c), c->arena, req, &h, rsp, e) < 0 ? -1
									: rpc_encode(c, rsp, e);
}

static int list_pods(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ListPodSandboxRequest) *q = req;
	AUTO_HOLD struct cri_hold h = { 0 };

	cri_list_pods(cri_of(c), c->arena, q->filter, &h, rsp);
	return rpc_encode(c, rsp, e);
}

/* --- containers --- */

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	return cri_create_box(cri_of(c), c->arena, c->cancel, req, rsp, e);
}

static int start(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(StartContainerRequest) *q = req;

	return cri_start_box(cri_of(c), c->arena, c->cancel, q->container_id, e);
}

static void on_stopped(void *arg, const struct err *e)
{
	struct rpc_call *c = arg;

	rpc_finish(c, c->handler_data, e);
}

static void on_stop_cancelled(struct rpc_call *c, UNUSED void *arg)
{
	cri_stop_cancelled(cri_of(c), c);
}

static int stop(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StopContainerRequest) *q = req;
	const struct cri_waiter who = { on_stopped, c, c->cancel };

	c->handler_data = rsp;
	rpc_on_cancel(c, on_stop_cancelled, NULL);

	int r = cri_stop_box(cri_of(c), q->container_id, q->timeout, &who, e);

	return r == CRI_LATER ? RPC_PARKED : r;
}

static int remove_box(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(RemoveContainerRequest) *q = req;

	return cri_remove_box(cri_of(c), q->container_id, e);
}

static int box_status(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	AUTO_HOLD struct cri_hold h = { 0 };

	return cri_box_status(cri_of(c), c->arena, req, &h, rsp, e) < 0 ? -1
									: rpc_encode(c, rsp, e);
}

static int list_boxes(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ListContainersRequest) *q = req;
	AUTO_HOLD struct cri_hold h = { 0 };

	cri_list_boxes(cri_of(c), c->arena, q->filter, &h, rsp);
	return rpc_encode(c, rsp, e);
}

static int update(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	return cri_update_box(cri_of(c), c->arena, c->cancel, req, e);
}

static int reopen_log(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ReopenContainerLogRequest) *q = req;

	return cri_reopen_log(cri_of(c), q->container_id, e);
}

static int exec_sync(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	AUTO_OUTPUT struct cri_output out = { 0 };

	return cri_exec_sync(cri_of(c), c->arena, c->cancel, req, &out, rsp, e) < 0
		       ? -1
		       : rpc_encode(c, rsp, e);
}

/* --- figures --- */

static int box_stats(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ContainerStatsRequest) *q = req;
	V1(ContainerStatsResponse) *r = rsp;
	AUTO_HOLD struct cri_hold h = { 0 };

	if (cri_box_stats(cri_of(c), c->arena, q->container_id, &h, &r->stats, e) < 0)
		return -1;
	return rpc_encode(c, rsp, e);
}

static int list_box_stats(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ListContainerStatsRequest) *q = req;
	AUTO_HOLD struct cri_hold h = { 0 };

	cri_list_box_stats(cri_of(c), c->arena, q->filter, &h, rsp);
	return rpc_encode(c, rsp, e);
}

static int pod_stats(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(PodSandboxStatsRequest) *q = req;
	V1(PodSandboxStatsResponse) *r = rsp;
	AUTO_HOLD struct cri_hold h = { 0 };

	if (cri_pod_stats(cri_of(c), c->arena, q->pod_sandbox_id, &h, &r->stats, e) < 0)
		return -1;
	return rpc_encode(c, rsp, e);
}

static int list_pod_stats(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ListPodSandboxStatsRequest) *q = req;
	AUTO_HOLD struct cri_hold h = { 0 };

	cri_list_pod_stats(cri_of(c), c->arena, q->filter, &h, rsp);
	return rpc_encode(c, rsp, e);
}

/* --- what happens --- */

static int send_event(void *arg, const V1(ContainerEventResponse) * m, struct err *e)
{
	return rpc_send(arg, m, e);
}

static int events(struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	rpc_headers(c);
	return cri_watch(cri_of(c), c->cancel, send_event, c, e);
}

/* --- the doors --- */

/* The service is not there when the configuration disables it: in gRPC's own words. */
static int absent(const struct rpc_call *c, struct err *e)
{
	return err_set(e, ERR_UNIMPLEMENTED, "unknown service %s", c->service->name);
}

#define DOOR(fn)                                                                            \
	static int fn##_door(struct rpc_call *c, const void *req, void *rsp, struct err *e) \
	{                                                                                   \
		return cri_of(c) ? fn(c, req, rsp, e) : absent(c, e);                       \
	}                                                                                   \
	_Static_assert(true, "takes the semicolon")
DOOR(version);
DOOR(run_pod);
DOOR(stop_pod);
DOOR(remove_pod);
DOOR(pod_status);
DOOR(list_pods);
DOOR(create);
DOOR(start);
DOOR(stop);
DOOR(remove_box);
DOOR(list_boxes);
DOOR(box_status);
DOOR(update);
DOOR(reopen_log);
DOOR(exec_sync);
DOOR(box_stats);
DOOR(list_box_stats);
DOOR(pod_stats);
DOOR(list_pod_stats);
DOOR(update_runtime_config);
DOOR(status);
DOOR(cri_exec_url);
DOOR(cri_attach_url);
DOOR(cri_forward_url);
DOOR(events);
DOOR(runtime_config);

#define M(name, prefix, fn)                                                                \
	RPC_UNARY(name, runtime__v1__##prefix##_request, runtime__v1__##prefix##_response, \
		  fn##_door)
const struct rpc_method cri_runtime_methods[] = {
	RPC_UNARY_IMMEDIATE("Version", runtime__v1__version_request, runtime__v1__version_response,
			    version_door),
	M("RunPodSandbox", run_pod_sandbox, run_pod),
	M("StopPodSandbox", stop_pod_sandbox, stop_pod),
	M("RemovePodSandbox", remove_pod_sandbox, remove_pod),
	M("PodSandboxStatus", pod_sandbox_status, pod_status),
	M("ListPodSandbox", list_pod_sandbox, list_pods),
	M("CreateContainer", create_container, create),
	M("StartContainer", start_container, start),
	M("StopContainer", stop_container, stop),
	M("RemoveContainer", remove_container, remove_box),
	M("ListContainers", list_containers, list_boxes),
	M("ContainerStatus", container_status, box_status),
	M("UpdateContainerResources", update_container_resources, update),
	M("ReopenContainerLog", reopen_container_log, reopen_log),
	/* a process that a tenant chose may take as long as it likes */
	RPC_UNARY_WAITING("ExecSync", runtime__v1__exec_sync_request,
			  runtime__v1__exec_sync_response, exec_sync_door, 1),
	M("ContainerStats", container_stats, box_stats),
	M("ListContainerStats", list_container_stats, list_box_stats),
	M("PodSandboxStats", pod_sandbox_stats, pod_stats),
	M("ListPodSandboxStats", list_pod_sandbox_stats, list_pod_stats),
	M("UpdateRuntimeConfig", update_runtime_config, update_runtime_config),
	M("Status", status, status),
	M("Exec", exec, cri_exec_url),
	M("Attach", attach, cri_attach_url),
	M("PortForward", port_forward, cri_forward_url),
	RPC_SERVER_STREAM("GetContainerEvents", runtime__v1__get_events_request,
			  runtime__v1__container_event_response, events_door),
	M("RuntimeConfig", runtime_config, runtime_config),
	RPC_END,
};
