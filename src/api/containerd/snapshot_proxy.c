#include "api/containerd/snapshot_proxy.h"

#include "api/containerd/convert.h"
#include "loop/loop.h"
#include "wire/grpc_client.h"

#include "containerd/services/snapshots/v1/snapshots.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#define P(x) containerd__services__snapshots__v1__##x
#define METHOD(name) "/containerd.services.snapshots.v1.Snapshots/" name

/* A lazy plugin fetches in Prepare, any of them copies; what only reads is quick. */
static const uint64_t second = UINT64_C(1000000000);
enum { SLOW = 600, QUICK = 30, LIST_MAX = 1 << 20 };

static int dial(const struct snapshot_remote_at *at, unsigned seconds, struct grpc_client **ret,
		struct err *e)
{
	if (grpc_connect_until(at->address, NULL, loop_now() + seconds * second, ret, e) < 0)
		return -1;
	grpc_meta(*ret, "containerd-namespace", at->ns);
	return 0;
}

static int call(const struct snapshot_remote_at *at, const char *method, unsigned seconds,
		const ProtobufCMessage *req, const ProtobufCMessageDescriptor *type,
		struct arena *a, void **ret, struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = seconds * second };
	AUTO_GRPC struct grpc_client *c = NULL;

	if (dial(at, seconds, &c, e) < 0)
		return -1;
	return grpc_call(c, method, req, type, a, ret, &opt, e);
}

static int call_empty(const struct snapshot_remote_at *at, const char *method, unsigned seconds,
		      const ProtobufCMessage *req, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	void *ignored;

	return call(at, method, seconds, req, &google__protobuf__empty__descriptor, a, &ignored, e);
}

static int make_view(const struct snapshot_remote_at *at, struct arena *a, const char *key,
		     const char *parent, const struct labels *labels, struct mounts *ret,
		     struct err *e)
{
	Containerd__Services__Snapshots__V1__ViewSnapshotRequest q;
	Containerd__Services__Snapshots__V1__ViewSnapshotResponse *r;

	P(view_snapshot_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.key = (char *)key;
	q.parent = (char *)parent;
	CONV_SET_LABELS(a, &q, labels, labels,
			containerd__services__snapshots__v1__view_snapshot_request__labels_entry);
	if (call(at, METHOD("View"), SLOW, &q.base, &P(view_snapshot_response__descriptor), a,
		 (void **)&r, e) < 0)
		return -1;
	*ret = conv_mounts(a, r->mounts, r->n_mounts);
	return 0;
}

static int make(const struct snapshot_remote_at *at, enum snapshot_kind kind, struct arena *a,
		const char *key, const char *parent, const struct labels *labels,
		struct mounts *ret, struct err *e)
{
	Containerd__Services__Snapshots__V1__PrepareSnapshotRequest q;
	Containerd__Services__Snapshots__V1__PrepareSnapshotResponse *r;

	if (kind == SNAPSHOT_VIEW)
		return make_view(at, a, key, parent, labels, ret, e);
	P(prepare_snapshot_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.key = (char *)key;
	q.parent = (char *)parent;
	CONV_SET_LABELS(
		a, &q, labels, labels,
		containerd__services__snapshots__v1__prepare_snapshot_request__labels_entry);
	if (call(at, METHOD("Prepare"), SLOW, &q.base, &P(prepare_snapshot_response__descriptor), a,
		 (void **)&r, e) < 0)
		return -1;
	*ret = conv_mounts(a, r->mounts, r->n_mounts);
	return 0;
}

static int mounts(const struct snapshot_remote_at *at, struct arena *a, const char *key,
		  struct mounts *ret, struct err *e)
{
	Containerd__Services__Snapshots__V1__MountsRequest q;
	Containerd__Services__Snapshots__V1__MountsResponse *r;

	P(mounts_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.key = (char *)key;
	if (call(at, METHOD("Mounts"), QUICK, &q.base, &P(mounts_response__descriptor), a,
		 (void **)&r, e) < 0)
		return -1;
	*ret = conv_mounts(a, r->mounts, r->n_mounts);
	return 0;
}

static int commit(const struct snapshot_remote_at *at, const char *name, const char *key,
		  const char *parent, const struct labels *labels, struct err *e)
{
	Containerd__Services__Snapshots__V1__CommitSnapshotRequest q;
	AUTO_ARENA struct arena *a = arena_new();

	P(commit_snapshot_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.name = (char *)name;
	q.key = (char *)key;
	q.parent = (char *)parent;
	CONV_SET_LABELS(a, &q, labels, labels,
			containerd__services__snapshots__v1__commit_snapshot_request__labels_entry);
	return call_empty(at, METHOD("Commit"), SLOW, &q.base, e);
}

static int remove_one(const struct snapshot_remote_at *at, const char *key, struct err *e)
{
	Containerd__Services__Snapshots__V1__RemoveSnapshotRequest q;

	P(remove_snapshot_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.key = (char *)key;
	return call_empty(at, METHOD("Remove"), QUICK, &q.base, e);
}

static int usage(const struct snapshot_remote_at *at, const char *key, struct snapshot_usage *ret,
		 struct err *e)
{
	Containerd__Services__Snapshots__V1__UsageRequest q;
	Containerd__Services__Snapshots__V1__UsageResponse *r;
	AUTO_ARENA struct arena *a = arena_new();

	P(usage_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	q.key = (char *)key;
	if (call(at, METHOD("Usage"), QUICK, &q.base, &P(usage_response__descriptor), a,
		 (void **)&r, e) < 0)
		return -1;
	*ret = (struct snapshot_usage){ r->size, r->inodes };
	return 0;
}

static struct snapshot_info to_info(struct arena *a,
				    const Containerd__Services__Snapshots__V1__Info *i)
{
	return (struct snapshot_info){ .kind = (enum snapshot_kind)i->kind,
				       .name = i->name,
				       .parent = i->parent,
				       .labels = CONV_LABELS(a, i, labels),
				       .created = conv_time(i->created_at),
				       .updated = conv_time(i->updated_at) };
}

static int read_list(struct grpc_stream *s, struct arena *a, struct snapshot_infos *ret,
		     struct err *e)
{
	Containerd__Services__Snapshots__V1__ListSnapshotsResponse *r;
	struct snapshot_info *v = NULL;
	size_t n = 0, cap = 0;
	int got;

	while ((got = grpc_stream_recv(s, a, (void **)&r, e)) > 0)
		for (size_t i = 0; i < r->n_info && n < LIST_MAX; i++) {
			GROW(v, n, cap);
			v[n++] = to_info(a, r->info[i]);
		}
	*ret = (struct snapshot_infos){ n ? arena_memdup(a, v, n * sizeof *v) : NULL, n };
	free(v);
	return got;
}

static int list(const struct snapshot_remote_at *at, struct arena *a, struct snapshot_infos *ret,
		struct err *e)
{
	const struct grpc_options opt = { .timeout_ns = QUICK * second };
	Containerd__Services__Snapshots__V1__ListSnapshotsRequest q;
	AUTO_GRPC struct grpc_client *c = NULL;
	AUTO_GRPC_STREAM struct grpc_stream *s = NULL;

	P(list_snapshots_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	if (dial(at, QUICK, &c, e) < 0 ||
	    grpc_stream_open(c, METHOD("List"), &P(list_snapshots_response__descriptor), &opt, &s,
			     e) < 0 ||
	    grpc_stream_send_last(s, &q.base, e) < 0)
		return -1;
	return read_list(s, a, ret, e);
}

static int cleanup(const struct snapshot_remote_at *at, struct err *e)
{
	Containerd__Services__Snapshots__V1__CleanupRequest q;

	P(cleanup_request__init)(&q);
	q.snapshotter = (char *)at->snapshotter;
	return call_empty(at, METHOD("Cleanup"), SLOW, &q.base, e);
}

const struct snapshot_remote snapshot_proxy_remote = {
	.make = make,
	.mounts = mounts,
	.commit = commit,
	.remove = remove_one,
	.usage = usage,
	.list = list,
	.cleanup = cleanup,
};
