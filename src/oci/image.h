/* Image documents: descriptor, index (manifest list), manifest and image config, OCI's and
 * Docker's (schema 2).  Bytes in, structs out; nothing here does I/O.
 *
 * Bounds: a document has at most IMAGE_DOC_MAX bytes, an index IMAGE_MANIFESTS_MAX entries, a
 * manifest IMAGE_LAYERS_MAX layers.  Digests and sizes are checked here, so whoever holds a
 * struct oci_descriptor may make a path of its digest.  A document that could be read as manifest
 * and as index is refused, whatever its media type says. Strings live in the arena. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "base/mem.h"
#include "oci/platform.h"

#include <stdbool.h>

enum {
	IMAGE_DOC_MAX = 4 << 20,
	IMAGE_MANIFESTS_MAX = 1024,
	IMAGE_LAYERS_MAX = 500,
	IMAGE_INDEX_DEPTH = 3, /* an index in an index in an index */
};
#define IMAGE_BLOB_MAX (1ULL << 40)

#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP MEDIA_OCI_LAYER "+gzip"
#define MEDIA_OCI_LAYER_ZSTD MEDIA_OCI_LAYER "+zstd"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define MEDIA_DOCKER_LAYER_GZIP MEDIA_DOCKER_LAYER ".gzip"

struct oci_annotation {
	const char *key, *value;
};

struct oci_descriptor {
	const char *media_type, *digest; /* media_type "" when the document has none */
	uint64_t size;
	bool has_platform;
	struct platform platform;
	size_t n_annotations;
	struct oci_annotation *annotations;
};

/* The value, or NULL. */
const char *oci_descriptor_annotation(const struct oci_descriptor *d, const char *key);

enum image_kind { IMAGE_INDEX, IMAGE_MANIFEST };

/* An index has manifests; a manifest has a config and layers. */
struct image_doc {
	enum image_kind kind;
	const char *media_type; /* the document's own, else what its kind and origin imply */
	size_t n_manifests;
	struct oci_descriptor *manifests;
	struct oci_descriptor config;
	size_t n_layers;
	struct oci_descriptor *layers;
	bool has_subject;
};

/* media_type: what the descriptor or the registry called it; "" when unknown.
 * ERR_INVALID_ARGUMENT with the field's name otherwise. */
int image_doc_parse(struct arena *a, const char *media_type, const char *bytes, size_t n,
		    struct image_doc *ret, struct err *e);

/* Of an index the entry that this platform runs: the first manifest or index that is for it, or
 * does not say for what it is.  One rule for all who read images: where two of them chose
 * differently, an image would be one thing in a list and another in a container.  NULL: none. */
const struct oci_descriptor *image_doc_pick(const struct image_doc *index,
					    const struct platform *host);

/* A descriptor that stands alone, as in a job or in an index.json. */
int oci_descriptor_parse(struct arena *a, json_object *o, struct oci_descriptor *ret,
			 struct err *e);

bool media_is_index(const char *media_type);
bool media_is_manifest(const char *media_type);
/* Neither of both, and it says so: what has no type may be either. */
bool media_is_leaf(const char *media_type);
bool media_is_config(const char *media_type);
bool media_is_layer(const char *media_type);

enum layer_compression { LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD, LAYER_UNKNOWN };
/* What a layer's media type says; LAYER_UNKNOWN: not a layer that we can unpack. */
enum layer_compression media_layer_compression(const char *media_type);

/* What a container started from the image gets if nobody says otherwise. */
struct image_config {
	struct platform platform;
	size_t n_diff_ids;
	const char **diff_ids;
	const char *user, *working_dir, *stop_signal; /* "" when absent */
	const char **env, **entrypoint, **cmd, **volumes, **exposed_ports; /* NULL-terminated */
	size_t n_labels;
	struct oci_annotation *labels;
};

int image_config_parse(struct arena *a, const char *bytes, size_t n, struct image_config *ret,
		       struct err *e);

/* Chain ids, bottom first: ret[i] is the name of the snapshot that holds layers 0 … i. */
const char **image_chain_ids(struct arena *a, const char *const *diff_ids, size_t n);
