/* Everything of the store that an image consists of, for those who carry it away (export, push). */
#pragma once

#include "image/worker.h"

struct closure_item {
	struct oci_descriptor desc;
	bool is_document; /* an index or a manifest */
};

/* Each blob once, whatever refers to it after it: layers, config, manifest, index. */
struct closure {
	struct worker *w;
	bool no_nondistributable;
	struct closure_item *v;
	size_t n, cap;
};

/* Of the image, the first manifest that is a container image's. */
struct closure_image {
	bool is_found;
	struct oci_descriptor manifest;
	struct image_doc doc;
};

/* What an index lists beside manifests leads nowhere: of a checkpoint's index the container's spec,
 * criu's images and the layer of what was written. */
bool closure_is_leaf(const struct oci_descriptor *d);

/* d and what is below it for the job's platforms (none: all).  ERR_NOT_FOUND: a document is not in
 * the store, or an index has no manifest for the platform. */
int closure_add(struct closure *c, const struct oci_descriptor *d, struct closure_image *ret,
		struct err *e);
void closure_done(struct closure *c);
