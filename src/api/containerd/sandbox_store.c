/* The sandbox Store service: records only; what runs is the Controller's. */
#include "api/containerd/sandbox_record.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/services.h"

#include "containerd/services/sandbox/v1/sandbox.pb-c.h"
#include <string.h>

#define V1(name) Containerd__Services__Sandbox__V1__##name

typedef Containerd__Types__Sandbox__ExtensionsEntry extension_entry;

struct sandbox_record sandbox_from_pb(struct arena *a, const Containerd__Types__Sandbox *m)
{
	struct sandbox_record r = {
		.id = m->sandbox_id,
		.sandboxer = m->sandboxer,
		.runtime_name = m->runtime ? m->runtime->name : "",
		.runtime_options = m->runtime ? conv_any(m->runtime->options) : (struct any){ 0 },
		.spec = conv_any(m->spec),
		.labels = CONV_LABELS(a, m, labels),
	};

	r.extensions.v = arena_array(a, m->n_extensions, sizeof *r.extensions.v);
	for (size_t i = 0; i < m->n_extensions; i++)
		r.extensions.v[r.extensions.n++] =
			(struct extension){ m->extensions[i]->key,
					    conv_any(m->extensions[i]->value) };
	return r;
}

static Containerd__Types__Sandbox *to_pb(struct arena *a, const struct sandbox_record *r)
{
	Containerd__Types__Sandbox *m = ARENA_NEW(a, Containerd__Types__Sandbox);

	containerd__types__sandbox__init(m);
	m->sandbox_id = (char *)r->id;
	m->sandboxer = (char *)r->sandboxer;
	m->runtime = ARENA_NEW(a, Containerd__Types__Sandbox__Runtime);
	containerd__types__sandbox__runtime__init(m->runtime);
	m->runtime->name = (char *)r->runtime_name;
	m->runtime->options = conv_to_any(a, &r->runtime_options);
	m->spec = conv_to_any(a, &r->spec);
	m->created_at = conv_timestamp(a, r->created);
	m->updated_at = conv_timestamp(a, r->updated);
	CONV_SET_LABELS(a, m, labels, &r->labels, containerd__types__sandbox__labels_entry);
	m->extensions = arena_array(a, r->extensions.n, sizeof *m->extensions);
	for (size_t i = 0; i < r->extensions.n; i++) {
		extension_entry *x = ARENA_NEW(a, extension_entry);

		containerd__types__sandbox__extensions_entry__init(x);
		x->key = (char *)r->extensions.v[i].key;
		x->value = conv_to_any(a, &r->extensions.v[i].any);
		m->extensions[m->n_extensions++] = x;
	}
	return m;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct sandbox_record *r = obj;

	if (strcmp(path[0], "labels") == 0)
		return listing_label(&r->labels, path + 1, n - 1);
	return n == 1 && strcmp(path[0], "id") == 0 ? r->id : NULL;
}

static int take(const Containerd__Types__Sandbox *m, struct arena *a, struct sandbox_record *ret,
		struct err *e)
{
	if (!m)
		return err_set(e, ERR_INVALID_ARGUMENT, "a sandbox is required");
	*ret = sandbox_from_pb(a, m);
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StoreCreateRequest) *q = req;
	V1(StoreCreateResponse) *a = rsp;
	struct sandbox_record in, r;
	struct call call;

	if (api_call(c, &call, e) < 0 || take(q->sandbox, c->arena, &in, e) < 0 ||
	    sandbox_create(call.engine->store, call.ns, c->arena, &in, &r, e) < 0)
		return -1;
	a->sandbox = to_pb(c->arena, &r);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StoreUpdateRequest) *q = req;
	V1(StoreUpdateResponse) *a = rsp;
	const struct mask mask = { (const char *const *)q->fields, q->n_fields };
	struct sandbox_record in, r;
	struct call call;

	if (api_call(c, &call, e) < 0 || take(q->sandbox, c->arena, &in, e) < 0 ||
	    sandbox_update(call.engine->store, call.ns, c->arena, &in, &mask, &r, e) < 0)
		return -1;
	a->sandbox = to_pb(c->arena, &r);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const V1(StoreDeleteRequest) *q = req;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	return sandbox_delete(call.engine->store, call.ns, q->sandbox_id, e);
}

static int get(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StoreGetRequest) *q = req;
	V1(StoreGetResponse) *a = rsp;
	struct sandbox_record r;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    sandbox_get(call.engine->store, call.ns, c->arena, q->sandbox_id, &r, e) < 0)
		return -1;
	a->sandbox = to_pb(c->arena, &r);
	return 0;
}

static int add_listed(const struct sandbox_record *r, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, r))
		listing_add(l, to_pb(l->arena, r));
	return 0;
}

static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const V1(StoreListRequest) *q = req;
	V1(StoreListResponse) *a = rsp;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    sandbox_list(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	a->list = (Containerd__Types__Sandbox **)listing_take(&l, &a->n_list);
	return 0;
}

#define M(name, req, rsp, fn)                                     \
	RPC_UNARY(name, containerd__services__sandbox__v1__##req, \
		  containerd__services__sandbox__v1__##rsp, fn)
const struct rpc_method sandbox_store_methods[] = {
	M("Create", store_create_request, store_create_response, create),
	M("Update", store_update_request, store_update_response, update),
	M("Delete", store_delete_request, store_delete_response, delete),
	M("List", store_list_request, store_list_response, list),
	M("Get", store_get_request, store_get_response, get),
	RPC_END,
};
