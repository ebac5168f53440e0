/* The Leases service. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/services.h"
#include "engine/collector.h"
#include "store/lease.h"

#include "containerd/services/leases/v1/leases.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <string.h>
#include <sys/random.h>

typedef Containerd__Services__Leases__V1__Lease lease_msg;
typedef Containerd__Services__Leases__V1__Resource resource_msg;

static lease_msg *to_message(struct arena *a, const struct lease_record *l)
{
	lease_msg *m = ARENA_NEW(a, lease_msg);

	containerd__services__leases__v1__lease__init(m);
	m->id = arena_strdup(a, l->id);
	m->created_at = conv_timestamp(a, l->created);
	CONV_SET_LABELS(a, m, labels, &l->labels,
			containerd__services__leases__v1__lease__labels_entry);
	return m;
}

/* As Go's client makes them: nanoseconds of the second, and three random bytes in base64url. */
static int random_id(struct arena *a, const char **ret, struct err *e)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char b[3];
	struct timespec now;

	if (getrandom(b, sizeof b, 0) != sizeof b)
		return err_set(e, ERR_INTERNAL, "getrandom gives no bytes");
	clock_gettime(CLOCK_REALTIME, &now);
	*ret = arena_printf(a, "%ld-%c%c%c%c", now.tv_nsec, digits[b[0] >> 2],
			    digits[(b[0] << 4 | b[1] >> 4) & 63],
			    digits[(b[1] << 2 | b[2] >> 6) & 63], digits[b[2] & 63]);
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__CreateRequest *q = req;
	Containerd__Services__Leases__V1__CreateResponse *r = rsp;
	struct lease_record in = { .id = q->id }, made = { 0 };
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!*q->id && random_id(c->arena, &in.id, e) < 0)
		return -1;
	in.labels = CONV_LABELS(c->arena, q, labels);
	if (lease_create(call.engine->store, call.ns, c->arena, &in, &made, e) < 0)
		return -1;
	r->lease = to_message(c->arena, &made);
	return 0;
}

/* sync: the collection is over when the answer goes out (BuildKit forces one that way). */
static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__DeleteRequest *q = req;
	struct call call;

	if (api_call(c, &call, e) < 0 || lease_delete(call.engine->store, call.ns, q->id, e) < 0)
		return -1;
	return q->sync ? collector_run(call.engine->collector, e) : 0;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct lease_record *l = obj;

	if (n == 1 && strcmp(path[0], "id") == 0)
		return *l->id ? l->id : NULL;
	return strcmp(path[0], "labels") == 0 ? listing_label(&l->labels, path + 1, n - 1) : NULL;
}

static int add_listed(const struct lease_record *r, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, r))
		listing_add(l, to_message(l->arena, r));
	return 0;
}

static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__ListRequest *q = req;
	Containerd__Services__Leases__V1__ListResponse *r = rsp;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    lease_list(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	r->leases = (lease_msg **)listing_take(&l, &r->n_leases);
	return 0;
}

typedef int lease_change(struct store *s, const char *ns, const char *lease,
			 const struct lease_resource *r, struct err *e);

static int change(struct rpc_call *c, const char *id, const resource_msg *m, lease_change *fn,
		  struct err *e)
{
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!m)
		return err_set(e, ERR_INVALID_ARGUMENT, "resource is required");

	struct lease_resource r = { m->id, m->type };
	return fn(call.engine->store, call.ns, id, &r, e);
}

static int add_resource(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__AddResourceRequest *q = req;

	return change(c, q->id, q->resource, lease_add, e);
}

static int delete_resource(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__DeleteResourceRequest *q = req;

	return change(c, q->id, q->resource, lease_remove, e);
}

static int list_resources(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Leases__V1__ListResourcesRequest *q = req;
	Containerd__Services__Leases__V1__ListResourcesResponse *r = rsp;
	struct lease_resource *v = NULL;
	struct call call;
	size_t n = 0;

	if (api_call(c, &call, e) < 0 ||
	    lease_resources(call.engine->store, call.ns, c->arena, q->id, &v, &n, e) < 0)
		return -1;
	r->resources = arena_array(c->arena, n, sizeof *r->resources);
	r->n_resources = n;
	for (size_t i = 0; i < n; i++) {
		resource_msg *m = ARENA_NEW(c->arena, resource_msg);

		containerd__services__leases__v1__resource__init(m);
		m->id = (char *)v[i].id;
		m->type = (char *)v[i].type;
		r->resources[i] = m;
	}
	return 0;
}

#define MESSAGE(name) containerd__services__leases__v1__##name
#define NO_ANSWER google__protobuf__empty
const struct rpc_method leases_methods[] = {
	RPC_UNARY("Create", MESSAGE(create_request), MESSAGE(create_response), create),
	RPC_UNARY("Delete", MESSAGE(delete_request), NO_ANSWER, delete),
	RPC_UNARY("List", MESSAGE(list_request), MESSAGE(list_response), list),
	RPC_UNARY("AddResource", MESSAGE(add_resource_request), NO_ANSWER, add_resource),
	RPC_UNARY("DeleteResource", MESSAGE(delete_resource_request), NO_ANSWER, delete_resource),
	RPC_UNARY("ListResources", MESSAGE(list_resources_request),
		  MESSAGE(list_resources_response), list_resources),
	RPC_END,
};
