/* The Images service: names for descriptors. */
#include "store/image.h"

#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/listing.h"
#include "api/containerd/publish.h"
#include "api/containerd/services.h"
#include "api/containerd/worker_run.h"
#include "engine/collector.h"

#include "containerd/events/image.pb-c.h"
#include "containerd/services/images/v1/images.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include <string.h>

typedef Containerd__Services__Images__V1__Image image;

static struct descriptor target_from_pb(struct arena *a, const Containerd__Types__Descriptor *d)
{
	if (!d)
		return (struct descriptor){ "", "", 0, { 0 } };
	return (struct descriptor){ d->media_type, d->digest, d->size,
				    CONV_LABELS(a, d, annotations) };
}

static struct image_record from_pb(struct arena *a, const image *m)
{
	return (struct image_record){ .name = m->name,
				      .labels = CONV_LABELS(a, m, labels),
				      .target = target_from_pb(a, m->target) };
}

static image *to_pb(struct arena *a, const struct image_record *r)
{
	image *m = ARENA_NEW(a, image);

	containerd__services__images__v1__image__init(m);
	m->name = (char *)r->name;
	CONV_SET_LABELS(a, m, labels, &r->labels,
			containerd__services__images__v1__image__labels_entry);
	m->target = ARENA_NEW(a, Containerd__Types__Descriptor);
	containerd__types__descriptor__init(m->target);
	m->target->media_type = (char *)r->target.media_type;
	m->target->digest = (char *)r->target.digest;
	m->target->size = r->target.size;
	CONV_SET_LABELS(a, m->target, annotations, &r->target.annotations,
			containerd__types__descriptor__annotations_entry);
	m->created_at = conv_timestamp(a, r->created);
	m->updated_at = conv_timestamp(a, r->updated);
	return m;
}

/* --- what clients may filter by --- */

static const char *if_set(const char *s)
{
	return s && *s ? s : NULL;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
	const struct image_record *r = obj;

	if (strcmp(path[0], "labels") == 0)
		return listing_label(&r->labels, path + 1, n - 1);
	if (strcmp(path[0], "annotations") == 0)
		return listing_label(&r->target.annotations, path + 1, n - 1);
	if (n == 1 && strcmp(path[0], "name") == 0)
		return if_set(r->name);
	if (n != 2 || strcmp(path[0], "target") != 0)
		return NULL;
	if (strcmp(path[1], "digest") == 0)
		return if_set(r->target.digest);
	if (strcmp(path[1], "mediatype") == 0)
		return if_set(r->target.media_type);
	return NULL;
}

/* --- methods --- */

static int get(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Images__V1__GetImageRequest *q = req;
	Containerd__Services__Images__V1__GetImageResponse *a = rsp;
	struct image_record r;
	struct call call;

	if (api_call(c, &call, e) < 0 ||
	    image_get(call.engine->store, call.ns, c->arena, q->name, &r, e) < 0)
		return -1;
	a->image = to_pb(c->arena, &r);
	return 0;
}

static int add_listed(const struct image_record *r, void *arg, UNUSED struct err *e)
{
	struct listing *l = arg;

	if (listing_matches(l, r))
		listing_add(l, to_pb(l->arena, r));
	return 0;
}

static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Images__V1__ListImagesRequest *q = req;
	Containerd__Services__Images__V1__ListImagesResponse *a = rsp;
	AUTO_LISTING struct listing l = { .arena = c->arena, .field = field };
	struct call call;

	if (api_call(c, &call, e) < 0 || listing_filter(&l, CONV_FILTERS(q), e) < 0 ||
	    image_list(call.engine->store, call.ns, c->arena, add_listed, &l, e) < 0)
		return -1;
	a->images = (image **)listing_take(&l, &a->n_images);
	return 0;
}

static int create(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Images__V1__CreateImageRequest *q = req;
	Containerd__Services__Images__V1__CreateImageResponse *a = rsp;
	Containerd__Services__Images__V1__ImageCreate ev;
	struct image_record made;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->image)
		return err_set(e, ERR_INVALID_ARGUMENT, "image name must not be empty");

	struct image_record in = from_pb(c->arena, q->image);

	in.created = conv_time(q->source_date_epoch);
	if (worker_admit(&call, in.name, &in.target, e) < 0 ||
	    image_create(call.engine->store, call.ns, call.lease, c->arena, &in, &made, e) < 0)
		return -1;
	a->image = to_pb(c->arena, &made);

	containerd__services__images__v1__image_create__init(&ev);
	ev.name = a->image->name;
	CONV_SET_LABELS(c->arena, &ev, labels, &made.labels,
			containerd__services__images__v1__image_create__labels_entry);
	api_publish(&call, "/images/create", &ev.base);
	return 0;
}

static int update(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Images__V1__UpdateImageRequest *q = req;
	Containerd__Services__Images__V1__UpdateImageResponse *a = rsp;
	Containerd__Services__Images__V1__ImageUpdate ev;
	struct image_record made;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;
	if (!q->image || !*q->image->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "Image.Name required");

	struct image_record in = from_pb(c->arena, q->image);
	struct mask mask = conv_mask(q->update_mask);

	in.updated = conv_time(q->source_date_epoch);
	if (*in.target.digest && worker_admit(&call, in.name, &in.target, e) < 0)
		return -1;
	if (image_update(call.engine->store, call.ns, call.lease, c->arena, &in, &mask, &made, e) <
	    0)
		return -1;
	a->image = to_pb(c->arena, &made);

	containerd__services__images__v1__image_update__init(&ev);
	ev.name = a->image->name;
	CONV_SET_LABELS(c->arena, &ev, labels, &made.labels,
			containerd__services__images__v1__image_update__labels_entry);
	api_publish(&call, "/images/update", &ev.base);
	return 0;
}

static int delete (struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Containerd__Services__Images__V1__DeleteImageRequest *q = req;
	Containerd__Services__Images__V1__ImageDelete ev;
	struct call call;

	if (api_call(c, &call, e) < 0)
		return -1;

	bool has_target = q->has_target_case ==
			  CONTAINERD__SERVICES__IMAGES__V1__DELETE_IMAGE_REQUEST__HAS_TARGET_TARGET;
	struct descriptor target = { 0 };

	if (has_target)
		target = target_from_pb(c->arena, q->target);
	if (image_delete(call.engine->store, call.ns, q->name, has_target ? &target : NULL, e) < 0)
		return -1;
	containerd__services__images__v1__image_delete__init(&ev);
	ev.name = q->name;
	api_publish(&call, "/images/delete", &ev.base);
	return q->sync ? collector_run(call.engine->collector, e) : 0;
}

#define P(x) containerd__services__images__v1__##x
const struct rpc_method images_methods[] = {
	RPC_UNARY("Get", P(get_image_request), P(get_image_response), get),
	RPC_UNARY("List", P(list_images_request), P(list_images_response), list),
	RPC_UNARY("Create", P(create_image_request), P(create_image_response), create),
	RPC_UNARY("Update", P(update_image_request), P(update_image_response), update),
	RPC_UNARY("Delete", P(delete_image_request), google__protobuf__empty, delete),
	RPC_END,
};
