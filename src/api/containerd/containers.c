/* The Containers service: records only; what runs is the Tasks service's. */
#include "store/container.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/history.h"
#include "api/containerd/listing.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"
#include "engine/restart.h"

#include "containerd/events/container.pb-c.h"
#include "containerd/services/containers/v1/containers.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <string.h>

typedef Containerd__Services__Containers__V1__Container container;
typedef Containerd__Services__Containers__V1__Container__ExtensionsEntry extension_entry;

static struct container_record from_pb(struct arena *a, const container *c)
{
	struct container_record r = {
		.id = c->id,
		.image = c->image,
		.runtime_name = c->runtime ? c->runtime->name : "",
		.runtime_options = c->runtime ? conv_any(c->runtime->options) : (struct any){ 0 },
		.snapshotter = c->snapshotter,
		.snapshot_key = c->snapshot_key,
		.sandbox = c->sandbox,
		.labels = CONV_LABELS(a, c, labels),
		.spec = conv_any(c->spec),
	};

	r.extensions.v = arena_array(a, c->n_extensions, sizeof *r.extensions.v);
	for (size_t i = 0; i < c->n_extensions; i++)
		r.extensions.v[r.extensions.n++] =
			(struct extension){ c->extensions[i]->key,
					    conv_any(c->extensions[i]->value) };
	return r;
}

static container *to_pb(struct arena *a, const struct container_record *r)
{
	container *c = ARENA_NEW(a, container);

	containerd__services__containers__v1__container__init(c);
	c->id = (char *)r->id;
	c->image = (char *)r->image;
	c->runtime = ARENA_NEW(a, Containerd__Services__Containers__V1__Container__Runtime);
	containerd__services__containers__v1__container__runtime__init(c->runtime);
	c->runtime->name = (char *)r->runtime_name;
	c->runtime->options = conv_lend_any(a, &r->runtime_options);
	c->spec = conv_lend_any(a, &r->spec);
	c->snapshotter = (char *)r->snapshotter;
	c->snapshot_key = (char *)r->snapshot_key;
	c->sandbox = (char *)r->sandbox;
	c->created_at = conv_timestamp(a, r->created);
	c->updated_at = conv_timestamp(a, r->updated);
	CONV_SET_LABELS(a, c, labels, &r->labels,
			containerd__services__containers__v1__container__labels_entry);
	c->extensions = arena_array(a, r->extensions.n, sizeof *c->extensions);
	for (size_t i = 0; i < r->extensions.n; i++) {
		extension_entry *x = ARENA_NEW(a, extension_entry);

		containerd__services__containers__v1__container__extensions_entry__init(x);
		x->key = (char *)r->extensions.v[i].key;
		x->value = conv_lend_any(a, &r->extensions.v[i].any);
		c->extensions[c->n_extensions++] = x;
	}
	return c;
}

/* --- what clients may filter by ----------------------------------------------------------------
 */

static const char *if_set(const char *s)
{
	return s && *s ? s : NULL;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct container_record *r = obj;

	if (strcmp(path[0], "labels") == 0)
		return listing_label(&r->labels, path + 1, n - 1);
	if (n == 2 && strcmp(path[0], "runtime") == 0 && strcmp(path[1], "name") == 0)
		return if_set(r->runtime_name);
	if (n != 1)
		return NULL;
	if (strcmp(path[0], "id") == 0)
		return if_set(r->id);
	if (strcmp(path[0], "image") == 0)
		return if_set(r->image);
	return NULL;
}

/* --- methods -----------------------------------------------------------------------------------
 */

static int get(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__GetContainerRequest *q = req;
	Containerd__Services__Containers__V1__GetContainerResponse *a = rsp;
	struct container_record r;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    container_get(call.engine->store, call.ns, c->arena, q->id, &r, e) < 0)
		return -1;
	a->container = to_pb(c->arena, &r);
	return 0;
}

static int add_listed(const struct container_record *r, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, r))
		listing_add(l, to_pb(l->arena, r));
	return 0;
}

struct whole_list {
	struct listing l; /* first: add_listed()'s */
	struct rpc_call *c;
	Containerd__Services__Containers__V1__ListContainersResponse *rsp;
};

static void whole_list_done(struct whole_list *w)
{
	listing_done(&w->l);
}

static int encode_list(void *arg, struct err *e)
{
	struct whole_list *w = arg;

	w->rsp->containers = (container **)listing_take(&w->l, &w->rsp->n_containers);
	return rpc_encode(w->c, w->rsp, e);
}

/* A thousand specs are megabytes: they go from the database's pages into the answer. */
static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__ListContainersRequest *q = req;
	CLEANUP(whole_list_done)
	struct whole_list w = { { .arena = c->arena, .field = field }, c, rsp };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&w.l, CONV_FILTERS(q), e) < 0)
		return -1;
	return container_list_borrowed(call.engine->store, call.ns, c->arena, add_listed,
				       encode_list, &w, e);
}

/* A stream waits for its client, so it borrows nothing. */
static int list_stream(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__ListContainersRequest *q = req;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    container_list(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < l.n; i++) {
		Containerd__Services__Containers__V1__ListContainerMessage m =
			CONTAINERD__SERVICES__CONTAINERS__V1__LIST_CONTAINER_MESSAGE__INIT;

		m.container = l.v[i];
		if (rpc_send(c, &m, e) < 0)
			return -1;
	}
	return 0;
}

static int check_new(const container *c, struct err *e)
{
	if (api_identifier(c->id, e) < 0)
		return err_wrap(e, "create container failed validation: container.ID");
	if (!c->runtime || !*c->runtime->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "container.Runtime.Name must be set");
	if (!c->spec)
		return err_set(e, ERR_INVALID_ARGUMENT, "container.Spec must be set");
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__CreateContainerRequest *q = req;
	Containerd__Services__Containers__V1__CreateContainerResponse *a = rsp;
	Containerd__Events__ContainerCreate ev = CONTAINERD__EVENTS__CONTAINER_CREATE__INIT;
	Containerd__Events__ContainerCreate__Runtime runtime =
		CONTAINERD__EVENTS__CONTAINER_CREATE__RUNTIME__INIT;
	struct container_record in, r;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->container)
		return err_set(e, ERR_INVALID_ARGUMENT, "container is required");
	if (check_new(q->container, e) < 0)
		return -1;
	in = from_pb(c->arena, q->container);
	restart_drop_image_labels(&call, in.image, &in.labels);
	if (container_create(call.engine->store, call.ns, c->arena, &in, &r, e) < 0)
		return -1;
	a->container = to_pb(c->arena, &r);
	runtime.name = (char *)r.runtime_name;
	runtime.options = a->container->runtime->options;
	ev.id = (char *)r.id;
	ev.image = (char *)r.image;
	ev.runtime = &runtime;
	api_publish(&call, "/containers/create", &ev.base);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__UpdateContainerRequest *q = req;
	Containerd__Services__Containers__V1__UpdateContainerResponse *a = rsp;
	Containerd__Events__ContainerUpdate ev = CONTAINERD__EVENTS__CONTAINER_UPDATE__INIT;
	struct mask mask = conv_mask(q->update_mask);
	struct container_record in, r;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->container || !*q->container->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "Container.ID required");
	in = from_pb(c->arena, q->container);
	if (container_update(call.engine->store, call.ns, c->arena, &in, &mask, &r, e) < 0)
		return -1;
	a->container = to_pb(c->arena, &r);
	ev.id = (char *)r.id;
	ev.image = (char *)r.image;
	ev.snapshot_key = (char *)r.snapshot_key;
	CONV_SET_LABELS(c->arena, &ev, labels, &r.labels,
			containerd__events__container_update__labels_entry);
	api_publish(&call, "/containers/update", &ev.base);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Containers__V1__DeleteContainerRequest *q = req;
	Containerd__Events__ContainerDelete ev = CONTAINERD__EVENTS__CONTAINER_DELETE__INIT;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    container_delete(call.engine->store, call.ns, q->id, e) < 0)
		return -1;
	history_forget_log(call.engine, call.ns, q->id);
	ev.id = q->id;
	api_publish(&call, "/containers/delete", &ev.base);
	return 0;
}

const struct rpc_method containers_methods[] = {
	RPC_UNARY("Get", containerd__services__containers__v1__get_container_request,
		  containerd__services__containers__v1__get_container_response, get),
	RPC_UNARY("List", containerd__services__containers__v1__list_containers_request,
		  containerd__services__containers__v1__list_containers_response, list),
	RPC_SERVER_STREAM(
		"ListStream", containerd__services__containers__v1__list_containers_request,
		containerd__services__containers__v1__list_container_message, list_stream),
	RPC_UNARY("Create", containerd__services__containers__v1__create_container_request,
		  containerd__services__containers__v1__create_container_response, create),
	RPC_UNARY("Update", containerd__services__containers__v1__update_container_request,
		  containerd__services__containers__v1__update_container_response, update),
	RPC_UNARY("Delete", containerd__services__containers__v1__delete_container_request,
		  google__protobuf__empty, delete),
	RPC_END,
};
