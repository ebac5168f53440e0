/* The record of an image that the daemon has, or is to have: made, or moved to a new target. */
#include "cmd/ctr/image_read.h"

static Containerd__Types__Descriptor *to_pb(struct arena *a, const struct oci_descriptor *d)
{
	Containerd__Types__Descriptor *pb = ARENA_NEW(a, Containerd__Types__Descriptor);
	struct labels l = { 0 };

	containerd__types__descriptor__init(pb);
	pb->media_type = PB(d->media_type);
	pb->digest = PB(d->digest);
	pb->size = (int64_t)d->size;
	for (size_t i = 0; i < d->n_annotations; i++)
		labels_add(a, &l, d->annotations[i].key, d->annotations[i].value);
	pb->n_annotations = l.n;
	pb->annotations = (void *)labels_to_pb(
		a, &l, &containerd__types__descriptor__annotations_entry__descriptor);
	return pb;
}

int image_put(struct ctr *ctr, const char *name, const struct oci_descriptor *target,
	      const struct labels *labels, struct err *e)
{
	IMAGES(CreateImageRequest) create = IMAGES_INIT(CREATE_IMAGE_REQUEST);
	IMAGES(UpdateImageRequest) update = IMAGES_INIT(UPDATE_IMAGE_REQUEST);
	Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
	char *paths[] = { PB("target"), PB("labels") };
	IMAGES(Image) image = IMAGES_INIT(IMAGE);
	struct err why = { 0 };

	image.name = PB(name);
	image.target = to_pb(ctr->arena, target);
	image.n_labels = labels->n;
	image.labels = (void *)labels_to_pb(
		ctr->arena, labels,
		&containerd__services__images__v1__image__labels_entry__descriptor);
	create.image = update.image = &image;
	if (CTR_CALL(ctr, "images.v1.Images/Create", &create, images__v1__create_image_response,
		     NULL, &why) == 0)
		return 0;
	if (why.code != ERR_ALREADY_EXISTS)
		return err_copy(e, &why);
	mask.paths = paths;
	mask.n_paths = labels->n ? 2 : 1;
	update.update_mask = &mask;
	return CTR_CALL(ctr, "images.v1.Images/Update", &update, images__v1__update_image_response,
			NULL, e);
}
