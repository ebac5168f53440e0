/* Kubernetes' pods: sandboxes and the containers in them, as the container runtime interface has
 * them, over the same store, tasks and networks that everybody else's containers are made of.
 *
 * The interface's own messages (runtime/v1/api.proto) are the documents here, as config.json is the
 * runtime's: a pod's and a container's configuration is kept as it came.  Everything is in the
 * namespace k8s.io, so that `ctr -n k8s.io` sees it: a pod is a container (label
 * io.cri-containerd.kind: sandbox) whose task is a process of ours that only holds namespaces; the
 * pod's containers are tasks of the same shim.
 *
 * One struct cri a daemon; all functions block and belong to pool threads unless they say
 * otherwise.  Answers point into a (the call's arena) and, where a cri_hold is taken, to what that
 * holds: they are to be encoded before cri_hold_done(). */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/cancel.h"

#include "runtime/v1/api.pb-c.h"

#include <stdbool.h>

#define CRI_NAMESPACE "k8s.io"

struct cri;
struct engine;
struct pod;
struct box;

/* After the engine: finds the pods of before the start again. */
int cri_open(struct engine *en, struct cri **ret, struct err *e);
void cri_stop(struct cri *cri); /* the loop's thread, while the pool works; NULL is fine */
void cri_free(struct cri *cri); /* NULL is fine; when the pool is idle */

/* References to pods and containers (cri/private.h). */
struct cri_hold {
	struct pod **pods;
	struct box **boxes;
	size_t n_pods, n_boxes;
};
void cri_hold_done(struct cri_hold *h);
#define AUTO_HOLD CLEANUP(cri_hold_done)

#define V1(name) Runtime__V1__##name

/* What works, for Status: conditions in the words kubelet looks for. */
void cri_status(struct cri *cri, struct arena *a, bool is_verbose, V1(StatusResponse) * ret);

int cri_run_pod(struct cri *cri, struct arena *a, struct cancel *c,
		const V1(RunPodSandboxRequest) * q, V1(RunPodSandboxResponse) * ret, struct err *e);
/* What is not there has been stopped and removed: as kubelet wants it. */
int cri_stop_pod(struct cri *cri, const char *id, struct err *e);
int cri_remove_pod(struct cri *cri, const char *id, struct err *e);
int cri_pod_status(struct cri *cri, struct arena *a, const V1(PodSandboxStatusRequest) * q,
		   struct cri_hold *h, V1(PodSandboxStatusResponse) * ret, struct err *e);
void cri_list_pods(struct cri *cri, struct arena *a, const V1(PodSandboxFilter) * f,
		   struct cri_hold *h, V1(ListPodSandboxResponse) * ret);

int cri_create_box(struct cri *cri, struct arena *a, struct cancel *c,
		   const V1(CreateContainerRequest) * q, V1(CreateContainerResponse) * ret,
		   struct err *e);
int cri_start_box(struct cri *cri, struct arena *a, struct cancel *c, const char *id,
		  struct err *e);
/* Where the container has time until it is killed, CRI_LATER, which takes no thread: then
 * who.done(who.arg, NULL or an error) follows, once and from any thread, after the end, the failure
 * or cri_stop_cancelled(), which is to be called when who.cancel is set, if it may be any more. */
typedef void cri_done_fn(void *arg, const struct err *e);
struct cri_waiter {
	cri_done_fn *done;
	void *arg;
	struct cancel *cancel;
};
enum { CRI_LATER = 1 };
int cri_stop_box(struct cri *cri, const char *id, int64_t timeout, const struct cri_waiter *who,
		 struct err *e);
void cri_stop_cancelled(struct cri *cri, void *arg); /* any thread, the loop's too */
int cri_remove_box(struct cri *cri, const char *id, struct err *e);
int cri_box_status(struct cri *cri, struct arena *a, const V1(ContainerStatusRequest) * q,
		   struct cri_hold *h, V1(ContainerStatusResponse) * ret, struct err *e);
void cri_list_boxes(struct cri *cri, struct arena *a, const V1(ContainerFilter) * f,
		    struct cri_hold *h, V1(ListContainersResponse) * ret);
int cri_update_box(struct cri *cri, struct arena *a, struct cancel *c,
		   const V1(UpdateContainerResourcesRequest) * q, struct err *e);
int cri_reopen_log(struct cri *cri, const char *id, struct err *e);
/* What the process has written, which the answer borrows: to be done with once that is encoded. */
enum { CRI_STREAMS = 2 };
struct cri_output {
	struct cri *cri; /* NULL: nothing is held */
	struct str of[CRI_STREAMS];
	size_t n; /* of all */
};
void cri_output_done(struct cri_output *out);
#define AUTO_OUTPUT CLEANUP(cri_output_done)
int cri_exec_sync(struct cri *cri, struct arena *a, struct cancel *c, const V1(ExecSyncRequest) * q,
		  struct cri_output *out, V1(ExecSyncResponse) * ret, struct err *e);

/* Of all containers' writable layers, as they were last measured. */
void cri_layers_usage(struct cri *cri, const char *snapshotter, uint64_t *ret_bytes,
		      uint64_t *ret_inodes);
/* Where a snapshotter keeps its layers; "" where nobody knows. */
const char *cri_snapshotter_root(struct cri *cri, const char *name);

int cri_box_stats(struct cri *cri, struct arena *a, const char *id, struct cri_hold *h,
		  V1(ContainerStats) * *ret, struct err *e);
void cri_list_box_stats(struct cri *cri, struct arena *a, const V1(ContainerStatsFilter) * f,
			struct cri_hold *h, V1(ListContainerStatsResponse) * ret);
int cri_pod_stats(struct cri *cri, struct arena *a, const char *id, struct cri_hold *h,
		  V1(PodSandboxStats) * *ret, struct err *e);
void cri_list_pod_stats(struct cri *cri, struct arena *a, const V1(PodSandboxStatsFilter) * f,
			struct cri_hold *h, V1(ListPodSandboxStatsResponse) * ret);

/* fn for everything that happens from now on, until c is cancelled or fn fails: always -1. */
typedef int cri_event_fn(void *arg, const V1(ContainerEventResponse) * m, struct err *e);
int cri_watch(struct cri *cri, struct cancel *c, cri_event_fn *fn, void *arg, struct err *e);
#undef V1

/* --- for streams into containers (api/cri/) --- */

struct any;
struct call;
struct task;

/* A running container: its task (a reference); the rest is of the hold.  In dir its streams are
 * attached to: fifos stdin (if it has one), stdout and stderr (not with a terminal). */
struct cri_running {
	struct task *task;
	const char *id, *pod, *dir;
	bool has_stdin, is_stdin_once, has_terminal;
};
int cri_get_running(struct cri *cri, const char *id, struct cri_hold *h, struct cri_running *ret,
		    struct err *e);
/* The container's own process with other words, for task_exec(). */
int cri_exec_process(const struct call *call, const char *id, size_t n, char *const *cmd,
		     bool has_terminal, struct any *ret, struct err *e);
/* Where a pod's ports are: the path of its network namespace, "" for the host's;
 * and its whole id. */
int cri_pod_netns(struct cri *cri, struct arena *a, const char *id, const char **ret_id,
		  const char **ret_path, struct err *e);
