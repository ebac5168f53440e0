#include "api/containerd/exit_wait.h"

#include "api/containerd/convert.h"

/* Lives in the call's arena: until rpc_finish(). */
struct waiter {
	struct rpc_call *call;
	struct tasks *tasks;
	struct exit_answer answer;
	uint64_t id;
};

static void on_exit_known(const struct err *e, const struct task_exit *x, void *arg)
{
	struct waiter *w = arg;

	if (e && e->code) {
		rpc_finish(w->call, NULL, e);
		return;
	}
	*w->answer.status = x->status;
	*w->answer.at = conv_timestamp(w->call->arena, x->at);
	rpc_reply(w->call, w->answer.rsp);
}

static void on_cancel(UNUSED struct rpc_call *c, void *arg)
{
	struct waiter *w = arg;

	task_wait_cancel(w->tasks, w->id); /* ends in on_exit_known(), once */
}

int exit_wait(struct rpc_call *c, struct tasks *ts, struct task *t, const char *exec_id,
	      const struct exit_answer *answer)
{
	struct waiter *w = ARENA_NEW(c->arena, struct waiter);

	*w = (struct waiter){ .call = c, .tasks = ts, .answer = *answer };
	uint64_t id = w->id = task_wait_new(t, exec_id, on_exit_known, w);
	rpc_on_cancel(c, on_cancel, w);
	/* From here on the call may end at any moment, on another thread. */
	task_wait_begin(ts, id);
	return RPC_PARKED;
}
