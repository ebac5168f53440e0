#include "api/containerd/worker_run.h"

#include "image/credentials.h"
#include "image/flight.h"
#include "image/verify.h"
#include "store/image.h"

static int fill_in(const struct call *call, struct transfer_job *job, struct err *e)
{
	const struct config *cfg = call->engine->cfg;

	if (transfer_find_worker(call->arena, cfg->libexec, cfg->self, &job->worker, e) < 0)
		return -1;
	job->store = call->engine->store;
	job->ns = call->ns;
	job->cancel = call->cancel;
	return 0;
}

int worker_admit(const struct call *call, const char *name, const struct descriptor *target,
		 struct err *e)
{
	const struct oci_descriptor d = { .media_type = target->media_type,
					  .digest = target->digest,
					  .size = target->size > 0 ? (uint64_t)target->size : 0 };
	struct transfer_job job = { 0 };

	if (!call->engine->verifier)
		return 0;
	if (fill_in(call, &job, e) < 0)
		return -1;
	return verifier_admit(call->engine->verifier, &job, name, &d, e);
}

int worker_run(const struct call *call, struct transfer_job *job, struct transfer_result *ret,
	       struct err *e)
{
	const struct verifier *v = call->engine->verifier;

	if (fill_in(call, job, e) < 0)
		return -1;
	if (!job->lease)
		job->lease = call->lease;
	if (job->kind == TRANSFER_PULL || job->kind == TRANSFER_PUSH)
		job->pull.has_credentials = credentials_exist(job->pull.hosts_dirs);
	if (v && (job->kind == TRANSFER_PULL || (job->kind == TRANSFER_IMPORT && *v->policy))) {
		job->verifier = v;
		job->verify.policy = v->policy;
	}
	return flight_run(call->engine->flights, job, call->arena, ret, e);
}
