/* Blobs of the daemon's content store, and an image's documents read from them. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/image.h"

/* The image record.  A name that is not there is tried again in its full form. */
int image_get(struct ctr *ctr, const char *name, IMAGES(Image) * *ret, struct err *e);

/* A blob of at most IMAGE_DOC_MAX bytes, terminated by an extra NUL. */
int blob_read(struct ctr *ctr, const char *digest, const char **ret, size_t *ret_n, struct err *e);

/* Its bytes, as a stream of ReadContentResponse. */
int blob_open(struct ctr *ctr, const char *digest, struct grpc_stream **ret, struct err *e);

/* Sets these labels of a blob ("" deletes); *l becomes all it has then. */
int blob_label(struct ctr *ctr, const char *digest, struct labels *l, struct err *e);

/* Everything `run` needs of an image, for one platform. */
struct image {
	const IMAGES(Image) * record;
	struct oci_descriptor config_descriptor;
	const char *manifest_digest;
	struct image_config config;
	const char *chain_id; /* "" for an image without layers */
	const struct oci_descriptor *layers;
	size_t n_layers;
	uint64_t size; /* index, manifest, config and layers */
};
int image_load(struct ctr *ctr, const IMAGES(Image) * record, const struct platform *p,
	       struct image *ret, struct err *e);

/* The config and the layers of the image for one platform, whether they are here or not. */
int image_parts(struct ctr *ctr, const IMAGES(Image) * record, const struct platform *p,
		struct oci_descriptor *ret_config, struct oci_descriptor **ret_layers,
		size_t *ret_n, struct err *e);

/* "linux/amd64,linux/arm64", sorted; what could not be read is left out. */
int image_platforms(struct ctr *ctr, const IMAGES(Image) * record, const char **ret, struct err *e);

/* cmd_content.c: a blob's bytes to the standard output. */
int blob_print(struct ctr *ctr, const char *digest, struct err *e);

/* image_record.c: the image's record, made or turned to another target. */
int image_put(struct ctr *ctr, const char *name, const struct oci_descriptor *target,
	      const struct labels *labels, struct err *e);
