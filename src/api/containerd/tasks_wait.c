#include "api/containerd/tasks_wait.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "task/task.h"

#include "containerd/services/tasks/v1/tasks.pb-c.h"

/* Lives in the call's arena: until rpc_finish(). */
struct waiter {
	struct rpc_call *call;
	struct tasks *tasks;
	Containerd__Services__Tasks__V1__WaitResponse *rsp;
	uint64_t id;
};

static void on_exit_known(const struct err *e, const struct task_exit *x, void *arg)
{
	struct waiter *w = arg;

	if (e && e->code) {
		rpc_finish(w->call, NULL, e);
		return;
	}
	w->rsp->exit_status = x->status;
	w->rsp->exited_at = conv_timestamp(w->call->arena, x->at);
	rpc_reply(w->call, w->rsp);
}

static void on_cancel(UNUSED struct rpc_call *c, void *arg)
{
	struct waiter *w = arg;

	task_wait_cancel(w->tasks, w->id); /* ends in on_exit_known(), once */
}

int tasks_wait(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Tasks__V1__WaitRequest *q = req;
	struct waiter *w = ARENA_NEW(c->arena, struct waiter);
	AUTO_TASK struct task *t = NULL;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    task_get(call.engine->tasks, call.ns, q->container_id, &t, e) < 0)
		return -1;
	*w = (struct waiter){ .call = c, .tasks = call.engine->tasks, .rsp = rsp };
	uint64_t id = w->id = task_wait_new(t, q->exec_id, on_exit_known, w);
	rpc_on_cancel(c, on_cancel, w);
	/* From here on the call may end at any moment, on another thread. */
	task_wait_begin(call.engine->tasks, id);
	return RPC_PARKED;
}
