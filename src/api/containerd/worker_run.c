#include "api/containerd/worker_run.h"

int worker_run(const struct call *call, struct transfer_job *job, struct transfer_result *ret,
	       struct err *e)
{
	const struct config *cfg = call->engine->cfg;

	if (transfer_find_worker(call->arena, cfg->libexec, cfg->self, &job->worker, e) < 0)
		return -1;
	job->store = call->engine->store;
	job->ns = call->ns;
	job->cancel = call->cancel;
	if (!job->lease)
		job->lease = call->lease;
	return transfer_run(job, call->arena, ret, e);
}
