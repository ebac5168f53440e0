/* Namespaces: needs no namespace header. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"
#include "store/namespace.h"

#include "containerd/events/namespace.pb-c.h"
#include "containerd/services/namespaces/v1/namespace.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

typedef Containerd__Services__Namespaces__V1__Namespace namespace_msg;

/* The event belongs to the namespace that it is about. */
static void publish(struct rpc_call *c, const char *ns, const char *topic,
		    const ProtobufCMessage *ev)
{
	struct call call = { .engine = api_engine(c), .ns = ns, .arena = c->arena };

	api_publish(&call, topic, ev);
}

static namespace_msg *to_message(struct arena *a, const char *name, const struct labels *l)
{
	namespace_msg *m = ARENA_NEW(a, namespace_msg);

	containerd__services__namespaces__v1__namespace__init(m);
	m->name = arena_strdup(a, name);
	CONV_SET_LABELS(a, m, labels, l,
			containerd__services__namespaces__v1__namespace__labels_entry);
	return m;
}

static int get(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Namespaces__V1__GetNamespaceRequest *q = req;
	Containerd__Services__Namespaces__V1__GetNamespaceResponse *r = rsp;
	struct labels l = { 0 };

	if (namespace_get(api_engine(c)->store, q->name, c->arena, &l, e) < 0)
		return -1;
	r->namespace_ = to_message(c->arena, q->name, &l);
	return 0;
}

static int add_listed(const char *name, const struct labels *labels, void *arg,
		      UNUSED struct err *e)
{
	struct listing *l = arg;

	listing_add(l, to_message(l->arena, name, labels));
	return 0;
}

/* The filter of the request has no effect in containerd either. */
static int list(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	Containerd__Services__Namespaces__V1__ListNamespacesResponse *r = rsp;
	AUTO_LISTING struct listing l = { .arena = c->arena };

	if (namespace_list(api_engine(c)->store, add_listed, &l, e) < 0)
		return -1;
	r->namespaces = (namespace_msg **)listing_take(&l, &r->n_namespaces);
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Namespaces__V1__CreateNamespaceRequest *q = req;
	Containerd__Services__Namespaces__V1__CreateNamespaceResponse *r = rsp;
	Containerd__Events__NamespaceCreate ev = CONTAINERD__EVENTS__NAMESPACE_CREATE__INIT;

	if (!q->namespace_)
		return err_set(e, ERR_INVALID_ARGUMENT, "namespace is required");

	const char *name = q->namespace_->name;
	struct labels l = CONV_LABELS(c->arena, q->namespace_, labels);
	if (api_identifier(name, e) < 0 || namespace_create(api_engine(c)->store, name, &l, e) < 0)
		return -1;
	r->namespace_ = to_message(c->arena, name, &l);
	ev.name = r->namespace_->name;
	CONV_SET_LABELS(c->arena, &ev, labels, &l,
			containerd__events__namespace_create__labels_entry);
	publish(c, name, "/namespaces/create", &ev.base);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Namespaces__V1__UpdateNamespaceRequest *q = req;
	Containerd__Services__Namespaces__V1__UpdateNamespaceResponse *r = rsp;
	Containerd__Events__NamespaceUpdate ev = CONTAINERD__EVENTS__NAMESPACE_UPDATE__INIT;

	if (!q->namespace_)
		return err_set(e, ERR_INVALID_ARGUMENT, "namespace is required");

	const char *name = q->namespace_->name;
	struct labels in = CONV_LABELS(c->arena, q->namespace_, labels), now = { 0 };
	struct mask mask = conv_mask(q->update_mask);
	if (namespace_update(api_engine(c)->store, name, c->arena, &in, &mask, &now, e) < 0)
		return -1;
	r->namespace_ = to_message(c->arena, name, &now);
	ev.name = r->namespace_->name;
	CONV_SET_LABELS(c->arena, &ev, labels, &now,
			containerd__events__namespace_update__labels_entry);
	publish(c, name, "/namespaces/update", &ev.base);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Namespaces__V1__DeleteNamespaceRequest *q = req;
	Containerd__Events__NamespaceDelete ev = CONTAINERD__EVENTS__NAMESPACE_DELETE__INIT;

	if (namespace_delete(api_engine(c)->store, q->name, e) < 0)
		return -1;
	ev.name = q->name;
	publish(c, q->name, "/namespaces/delete", &ev.base);
	return 0;
}

#define MESSAGE(name) containerd__services__namespaces__v1__##name
#define METHOD(name, req, rsp, fn) RPC_UNARY(name, MESSAGE(req), MESSAGE(rsp), fn)
const struct rpc_method namespaces_methods[] = {
	METHOD("Get", get_namespace_request, get_namespace_response, get),
	METHOD("List", list_namespaces_request, list_namespaces_response, list),
	METHOD("Create", create_namespace_request, create_namespace_response, create),
	METHOD("Update", update_namespace_request, update_namespace_response, update),
	RPC_UNARY("Delete", MESSAGE(delete_namespace_request), google__protobuf__empty, delete),
	RPC_END,
};
