/* The Mounts service: store/activation.h for clients. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/services.h"
#include "base/timefmt.h"
#include "store/activation.h"

#include "containerd/services/mounts/v1/mounts.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <string.h>

#define V1(name) Containerd__Services__Mounts__V1__##name

typedef Containerd__Types__ActivationInfo info_msg;
typedef Containerd__Types__ActiveMount active_msg;

static active_msg *active_to_pb(struct arena *a, Containerd__Types__Mount *mount,
				const struct label *point)
{
	active_msg *m = ARENA_NEW(a, active_msg);
	struct timespec at = { 0 };

	containerd__types__active_mount__init(m);
	m->mount = mount;
	m->mount_point = (char *)point->key;
	if (timefmt_parse(point->value, &at) == 0)
		m->mounted_at = conv_timestamp(a, at);
	return m;
}

static info_msg *to_pb(struct arena *a, const struct activation *r)
{
	info_msg *m = ARENA_NEW(a, info_msg);
	size_t n;
	Containerd__Types__Mount **active = conv_to_mounts(a, &r->active, &n);

	containerd__types__activation_info__init(m);
	m->name = (char *)r->name;
	m->active = arena_array(a, n, sizeof *m->active);
	for (size_t i = 0; i < n && i < r->points.n; i++)
		m->active[m->n_active++] = active_to_pb(a, active[i], &r->points.v[i]);
	m->system = conv_to_mounts(a, &r->system, &m->n_system);
	CONV_SET_LABELS(a, m, labels, &r->labels, containerd__types__activation_info__labels_entry);
	return m;
}

static int activate(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(ActivateRequest) *q = req;
	V1(ActivateResponse) *a = rsp;
	struct activation r;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;

	const struct activation_new n = {
		.ns = call.ns,
		.lease = call.lease,
		.name = q->name,
		.mounts = conv_mounts(c->arena, q->mounts, q->n_mounts),
		.labels = CONV_LABELS(c->arena, q, labels),
		.is_temporary = q->temporary,
	};
	if (activation_create(call.engine->store, &n, c->arena, &r, e) < 0)
		return -1;
	a->info = to_pb(c->arena, &r);
	return 0;
}

static int deactivate(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(DeactivateRequest) *q = req;
	struct call call;

	return api_call(c, &call, e) < 0
		       ? -1
		       : activation_remove(call.engine->store, call.ns, q->name, e);
}

static int info(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(InfoRequest) *q = req;
	V1(InfoResponse) *a = rsp;
	struct activation r;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    activation_get(call.engine->store, call.ns, c->arena, q->name, &r, e) < 0)
		return -1;
	a->info = to_pb(c->arena, &r);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(UpdateRequest) *q = req;
	V1(UpdateResponse) *a = rsp;
	struct mask mask = conv_mask(q->update_mask);
	struct activation r;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->info)
		return err_set(e, ERR_INVALID_ARGUMENT, "info is required");

	const struct activation in = { .name = q->info->name,
				       .labels = CONV_LABELS(c->arena, q->info, labels) };
	if (activation_update(call.engine->store, call.ns, c->arena, &in, &mask, &r, e) < 0)
		return -1;
	a->info = to_pb(c->arena, &r);
	return 0;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct activation *r = obj;

	if (strcmp(path[0], "labels") == 0)
		return listing_label(&r->labels, path + 1, n - 1);
	return n == 1 && strcmp(path[0], "name") == 0 ? r->name : NULL;
}

static int add_listed(const struct activation *r, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, r))
		listing_add(l, to_pb(l->arena, r));
	return 0;
}

static int send_one(struct rpc_call *c, info_msg *m, struct err *e)
{
	V1(ListMessage) out;

	containerd__services__mounts__v1__list_message__init(&out);
	out.info = m;
	return rpc_send(c, &out, e);
}

static int list(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(ListRequest) *q = req;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    activation_list(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++)
		if (send_one(c, l.v[i], e) < 0)
			return -1;
	return 0;
}

#define MESSAGE(name) containerd__services__mounts__v1__##name
#define NO_ANSWER google__protobuf__empty
const struct rpc_method mounts_methods[] = {
	RPC_UNARY("Activate", MESSAGE(activate_request), MESSAGE(activate_response), activate),
	RPC_UNARY("Deactivate", MESSAGE(deactivate_request), NO_ANSWER, deactivate),
	RPC_UNARY("Info", MESSAGE(info_request), MESSAGE(info_response), info),
	RPC_UNARY("Update", MESSAGE(update_request), MESSAGE(update_response), update),
	RPC_SERVER_STREAM("List", MESSAGE(list_request), MESSAGE(list_message), list),
	RPC_END,
};
