/* The Diff service: Apply unpacks one blob onto the folders behind mounts that a client got from
 * the Snapshots service, Diff makes one from the difference of two.  The transfer worker does it,
 * by descriptors of the folders.  config.toml may put services of other programs before it. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/proxy_call.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"
#include "api/containerd/worker_run.h"

#include "containerd/events/content.pb-c.h"
#include "containerd/services/diff/v1/diff.pb-c.h"
#include <string.h>
#include <sys/random.h>

static int run_apply(const struct call *call, const Containerd__Types__Descriptor *diff,
		     const struct snapshot_dirs *dirs, struct transfer_result *ret, struct err *e)
{
	struct transfer_job job = { .kind = TRANSFER_APPLY, .apply = { .dirs = dirs } };

	job.apply.blob.media_type = diff->media_type;
	job.apply.blob.digest = diff->digest;
	job.apply.blob.size = (uint64_t)diff->size;
	return worker_run(call, &job, ret, e);
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

	struct mounts mounts = conv_mounts(c->arena, q->mounts, q->n_mounts);
	if (snapshot_open_mounts(call.engine->store, &mounts, &dirs, e) < 0)
		return err_wrap(e, "failed to extract layer %s", q->diff->digest);
	int r = run_apply(&call, q->diff, &dirs, &result, e);
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

static void on_content(const char *digest, uint64_t size, void *arg)
{
	const struct call *call = arg;
	Containerd__Events__ContentCreate ev = CONTAINERD__EVENTS__CONTENT_CREATE__INIT;

	ev.digest = (char *)digest;
	ev.size = (int64_t)size;
	api_publish(call, "/content/create", &ev.base);
}

/* Random, as nobody will ask for it again. */
static const char *new_ref(struct arena *a)
{
	uint8_t r[12];
	char hex[2 * sizeof r + 1];

	if (getrandom(r, sizeof r, 0) != sizeof r)
		BUG("no random bytes");
	for (size_t i = 0; i < sizeof r; i++)
		snprintf(hex + 2 * i, 3, "%02x", r[i]);
	return arena_printf(a, "diff-%s", hex);
}

static int run_diff(struct call *call, const Containerd__Services__Diff__V1__DiffRequest *q,
		    const struct snapshot_dirs *left, const struct snapshot_dirs *right,
		    struct transfer_result *ret, struct err *e)
{
	const struct transfer_hooks hooks = { .arg = call, .content_created = on_content };
	struct transfer_job job = { .kind = TRANSFER_DIFF,
				    .hooks = &hooks,
				    .diff = { .left = left, .right = right } };

	job.diff.media_type = *q->media_type ? q->media_type : MEDIA_OCI_LAYER_GZIP;
	job.diff.ref = *q->ref ? q->ref : new_ref(call->arena);
	job.diff.labels = CONV_LABELS(call->arena, q, labels);
	if (q->source_date_epoch) {
		job.diff.has_epoch = true;
		job.diff.epoch = q->source_date_epoch->seconds;
	}
	return worker_run(call, &job, ret, e);
}

static int diff(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Diff__V1__DiffRequest *q = req;
	Containerd__Services__Diff__V1__DiffResponse *a = rsp;
	struct snapshot_dirs left = { 0 }, right = { 0 };
	struct transfer_result result = { 0 };
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	struct mounts from = conv_mounts(c->arena, q->left, q->n_left);
	struct mounts to = conv_mounts(c->arena, q->right, q->n_right);
	int r = 0;

	if (from.n) /* none: everything is new */
		r = snapshot_open_mounts(call.engine->store, &from, &left, e);
	else
		left.upper = -1;
	if (r == 0)
		r = snapshot_open_mounts(call.engine->store, &to, &right, e);
	if (r == 0)
		r = run_diff(&call, q, &left, &right, &result, e);
	snapshot_dirs_done(&left);
	snapshot_dirs_done(&right);
	if (r < 0)
		return err_wrap(e, "failed to make a layer");
	a->diff = ARENA_NEW(c->arena, Containerd__Types__Descriptor);
	containerd__types__descriptor__init(a->diff);
	a->diff->media_type = (char *)result.root.media_type;
	a->diff->digest = (char *)result.root.digest;
	a->diff->size = (int64_t)result.root.size;
	return 0;
}

/* The first one that does not say that this is nothing for it. */
static int by_order(struct rpc_call *c, const void *req, void *rsp, rpc_fn *own, struct err *e)
{
	const struct config *cfg = api_engine(c)->cfg;
	bool has_tried = false;
	int r = -1;

	for (size_t i = 0; i < cfg->n_differs; i++) {
		const char *address = config_proxy(cfg, CONFIG_PROXY_DIFF, cfg->differs[i]);
		bool is_own = !strcmp(cfg->differs[i], "walking");

		if (!address && !is_own)
			continue; /* said at the start */
		err_clear(e);
		has_tried = true;
		r = is_own ? own(c, req, rsp, e) : proxy_call(c, address, req, rsp, e);
		if (r == 0 || e->code != ERR_UNIMPLEMENTED)
			return r;
	}
	return has_tried ? r : own(c, req, rsp, e);
}

static int apply_by_order(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	return by_order(c, req, rsp, apply, e);
}

static int diff_by_order(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	return by_order(c, req, rsp, diff, e);
}

const struct rpc_method diff_methods[] = {
	RPC_UNARY("Apply", containerd__services__diff__v1__apply_request,
		  containerd__services__diff__v1__apply_response, apply_by_order),
	RPC_UNARY("Diff", containerd__services__diff__v1__diff_request,
		  containerd__services__diff__v1__diff_response, diff_by_order),
	RPC_END,
};
