/* The Diff service: Apply unpacks one blob onto the folders behind mounts that a client got from
 * the Snapshots service.  Nothing is mounted for it: the transfer worker writes by descriptors. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/services.h"
#include "image/transfer.h"

#include "containerd/services/diff/v1/diff.pb-c.h"
#include <string.h>

static struct mounts from_pb(struct arena *a, const Containerd__Services__Diff__V1__ApplyRequest *q)
{
	struct mounts m = { .v = arena_array(a, q->n_mounts, sizeof *m.v), .n = q->n_mounts };

	for (size_t i = 0; i < q->n_mounts; i++)
		m.v[i] = (struct mount){ .type = q->mounts[i]->type,
					 .source = q->mounts[i]->source,
					 .target = q->mounts[i]->target,
					 .options = (const char **)q->mounts[i]->options,
					 .noptions = q->mounts[i]->n_options };
	return m;
}

static int run(const struct call *call, const Containerd__Types__Descriptor *diff,
	       const struct snapshot_dirs *dirs, struct transfer_result *ret, struct err *e)
{
	const struct config *cfg = call->engine->cfg;
	struct transfer_job job = { .store = call->engine->store,
				    .ns = call->ns,
				    .lease = call->lease,
				    .cancel = call->cancel,
				    .kind = TRANSFER_APPLY,
				    .apply = { .dirs = dirs } };

	job.apply.blob.media_type = diff->media_type;
	job.apply.blob.digest = diff->digest;
	job.apply.blob.size = (uint64_t)diff->size;
	if (transfer_find_worker(call->arena, cfg->libexec, cfg->self, &job.worker, e) < 0)
		return -1;
	return transfer_run(&job, call->arena, ret, e);
}

static int apply(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Diff__V1__ApplyRequest *q = req;
	Containerd__Services__Diff__V1__ApplyResponse *a = rsp;
	struct transfer_result result = { 0 };
	struct snapshot_dirs dirs = { 0 };
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->diff || q->diff->size < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "a descriptor of the diff is required");
	if (q->n_payloads)
		return err_set(e, ERR_UNIMPLEMENTED, "payloads of stream processors");

	struct mounts mounts = from_pb(c->arena, q);
	if (snapshot_open_mounts(call.engine->store, &mounts, &dirs, e) < 0)
		return err_wrap(e, "failed to extract layer %s", q->diff->digest);
	int r = run(&call, q->diff, &dirs, &result, e);
	snapshot_dirs_done(&dirs);
	if (r < 0)
		return err_wrap(e, "failed to extract layer %s", q->diff->digest);

	a->applied = ARENA_NEW(c->arena, Containerd__Types__Descriptor);
	containerd__types__descriptor__init(a->applied);
	a->applied->media_type = (char *)MEDIA_OCI_LAYER;
	a->applied->digest = (char *)result.diff_id;
	a->applied->size = (int64_t)result.size;
	return 0;
}

static int diff(UNUSED struct rpc_call *c, UNUSED const void *req, UNUSED void *rsp, struct err *e)
{
	return err_set(e, ERR_UNIMPLEMENTED, "making a layer from the difference of two trees");
}

const struct rpc_method diff_methods[] = {
	RPC_UNARY("Apply", containerd__services__diff__v1__apply_request,
		  containerd__services__diff__v1__apply_response, apply),
	RPC_UNARY("Diff", containerd__services__diff__v1__diff_request,
		  containerd__services__diff__v1__diff_response, diff),
	RPC_END,
};
