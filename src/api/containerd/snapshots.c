/* The Snapshots service. */
#include "store/snapshot.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"

#include "containerd/events/snapshot.pb-c.h"
#include "containerd/services/snapshots/v1/snapshots.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <string.h>

typedef Containerd__Services__Snapshots__V1__Info info;

static info *to_pb(struct arena *a, const struct snapshot_info *i)
{
	info *m = ARENA_NEW(a, info);

	containerd__services__snapshots__v1__info__init(m);
	m->name = (char *)i->name;
	m->parent = (char *)i->parent;
	m->kind = (Containerd__Services__Snapshots__V1__Kind)i->kind;
	m->created_at = conv_timestamp(a, i->created);
	m->updated_at = conv_timestamp(a, i->updated);
	CONV_SET_LABELS(a, m, labels, &i->labels,
			containerd__services__snapshots__v1__info__labels_entry);
	return m;
}

static int open_call(struct rpc_call *c, const char *snapshotter, struct call *ret,
		     struct snapshot_at *at, struct err *e)
{
	if (api_call(c, ret, e) < 0)
		return -1;
	*at = (struct snapshot_at){ ret->ns, ret->lease, snapshotter };
	return 0;
}

static int prepare(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__PrepareSnapshotRequest *q = req;
	Containerd__Services__Snapshots__V1__PrepareSnapshotResponse *a = rsp;
	Containerd__Events__SnapshotPrepare ev;
	struct snapshot_at at;
	struct mounts m;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0)
		return -1;

	struct labels labels = CONV_LABELS(c->arena, q, labels);
	if (snapshot_prepare(call.engine->store, &at, c->arena, q->key, q->parent, &labels, &m, e) <
	    0)
		return -1;
	a->mounts = conv_to_mounts(c->arena, &m, &a->n_mounts);

	containerd__events__snapshot_prepare__init(&ev);
	ev.key = q->key;
	ev.parent = q->parent;
	ev.snapshotter = q->snapshotter;
	api_publish(&call, "/snapshot/prepare", &ev.base);
	return 0;
}

static int view(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__ViewSnapshotRequest *q = req;
	Containerd__Services__Snapshots__V1__ViewSnapshotResponse *a = rsp;
	struct snapshot_at at;
	struct mounts m;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0)
		return -1;

	struct labels labels = CONV_LABELS(c->arena, q, labels);
	if (snapshot_view(call.engine->store, &at, c->arena, q->key, q->parent, &labels, &m, e) < 0)
		return -1;
	a->mounts = conv_to_mounts(c->arena, &m, &a->n_mounts);
	return 0;
}

static int mounts(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__MountsRequest *q = req;
	Containerd__Services__Snapshots__V1__MountsResponse *a = rsp;
	struct snapshot_at at;
	struct mounts m;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0 ||
	    snapshot_mounts(call.engine->store, &at, c->arena, q->key, &m, e) < 0)
		return -1;
	a->mounts = conv_to_mounts(c->arena, &m, &a->n_mounts);
	return 0;
}

static int commit(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__CommitSnapshotRequest *q = req;
	Containerd__Events__SnapshotCommit ev;
	struct snapshot_at at;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0)
		return -1;

	struct labels labels = CONV_LABELS(c->arena, q, labels);
	if (snapshot_commit_on(call.engine->store, &at, q->name, q->key, q->parent, &labels, e) < 0)
		return -1;
	containerd__events__snapshot_commit__init(&ev);
	ev.key = q->key;
	ev.name = q->name;
	ev.snapshotter = q->snapshotter;
	api_publish(&call, "/snapshot/commit", &ev.base);
	return 0;
}

static int remove_one(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__RemoveSnapshotRequest *q = req;
	Containerd__Events__SnapshotRemove ev;
	struct snapshot_at at;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0 ||
	    snapshot_remove(call.engine->store, &at, q->key, e) < 0)
		return -1;
	containerd__events__snapshot_remove__init(&ev);
	ev.key = q->key;
	ev.snapshotter = q->snapshotter;
	api_publish(&call, "/snapshot/remove", &ev.base);
	return 0;
}

static int stat_one(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__StatSnapshotRequest *q = req;
	Containerd__Services__Snapshots__V1__StatSnapshotResponse *a = rsp;
	struct snapshot_at at;
	struct snapshot_info i;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0 ||
	    snapshot_stat(call.engine->store, &at, c->arena, q->key, &i, e) < 0)
		return -1;
	a->info = to_pb(c->arena, &i);
	return 0;
}

/* The kind in the request is ignored: clients send COMMITTED for active ones. */
static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__UpdateSnapshotRequest *q = req;
	Containerd__Services__Snapshots__V1__UpdateSnapshotResponse *a = rsp;
	struct snapshot_at at;
	struct snapshot_info made;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0)
		return -1;
	if (!q->info)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot info is required");

	struct snapshot_info in = { .name = q->info->name,
				    .labels = CONV_LABELS(c->arena, q->info, labels) };
	struct mask mask = conv_mask(q->update_mask);

	if (snapshot_update(call.engine->store, &at, c->arena, &in, &mask, &made, e) < 0)
		return -1;
	a->info = to_pb(c->arena, &made);
	return 0;
}

/* --- List --- */

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct snapshot_info *i = obj;

	if (strcmp(path[0], "labels") == 0)
		return listing_label(&i->labels, path + 1, n - 1);
	if (n != 1)
		return NULL;
	if (strcmp(path[0], "kind") == 0)
		return snapshot_kind_name(i->kind);
	if (strcmp(path[0], "name") == 0)
		return i->name;
	if (strcmp(path[0], "parent") == 0)
		return i->parent;
	return NULL;
}

static int add_listed(const struct snapshot_info *i, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, i))
		listing_add(l, to_pb(l->arena, i));
	return 0;
}

static int send_some(struct rpc_call *c, void **v, size_t n, struct err *e)
{
	Containerd__Services__Snapshots__V1__ListSnapshotsResponse r;

	containerd__services__snapshots__v1__list_snapshots_response__init(&r);
	r.info = (info **)v;
	r.n_info = n;
	return rpc_send(c, &r, e);
}

static int list(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__ListSnapshotsRequest *q = req;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct snapshot_at at;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0 ||
	    listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    snapshot_walk(call.engine->store, &at, c->arena, add_listed, &l, e) < 0)
		return -1;
	return listing_send(&l, c, send_some, e);
}

static int usage(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__UsageRequest *q = req;
	Containerd__Services__Snapshots__V1__UsageResponse *a = rsp;
	struct snapshot_usage u;
	struct snapshot_at at;
	struct call call;

	if (open_call(c, q->snapshotter, &call, &at, e) < 0 ||
	    snapshot_usage(call.engine->store, &at, q->key, &u, e) < 0)
		return -1;
	a->size = u.size;
	a->inodes = u.inodes;
	return 0;
}

static int cleanup(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Snapshots__V1__CleanupRequest *q = req;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	return snapshot_cleanup(call.engine->store, q->snapshotter, e);
}

#define P(x) containerd__services__snapshots__v1__##x
const struct rpc_method snapshots_methods[] = {
	RPC_UNARY("Prepare", P(prepare_snapshot_request), P(prepare_snapshot_response), prepare),
	RPC_UNARY("View", P(view_snapshot_request), P(view_snapshot_response), view),
	RPC_UNARY("Mounts", P(mounts_request), P(mounts_response), mounts),
	RPC_UNARY("Commit", P(commit_snapshot_request), google__protobuf__empty, commit),
	RPC_UNARY("Remove", P(remove_snapshot_request), google__protobuf__empty, remove_one),
	RPC_UNARY("Stat", P(stat_snapshot_request), P(stat_snapshot_response), stat_one),
	RPC_UNARY("Update", P(update_snapshot_request), P(update_snapshot_response), update),
	RPC_SERVER_STREAM("List", P(list_snapshots_request), P(list_snapshots_response), list),
	RPC_UNARY("Usage", P(usage_request), P(usage_response), usage),
	RPC_UNARY("Cleanup", P(cleanup_request), google__protobuf__empty, cleanup),
	RPC_END,
};
