/* Images as the CRI has them: known by the digest of their config, whatever names point there. */
#pragma once

#include "base/str.h"
#include "engine/engine.h"
#include "oci/image.h"

struct rpc_call;

#define CRI_IMAGE_LABEL "io.cri-containerd.image"
#define CRI_PINNED_LABEL "io.cri-containerd.pinned"

struct cri_image {
	const char *id; /* "sha256:…" of the config */
	struct strv names; /* of its records, in their order */
	struct strv tags, digests; /* of those that are references */
	uint64_t size; /* of index, manifest, config and layers */
	bool is_pinned;
	const char *user; /* of the config, or NULL when that cannot be read any more */
};

struct cri_images {
	struct cri_image *v;
	size_t n, cap;
};

/* All that are whole enough to be read; strings in the call's arena. */
int cri_images_read(const struct call *call, struct cri_images *ret, struct err *e);
void cri_images_done(struct cri_images *l);
#define AUTO_CRI_IMAGES CLEANUP(cri_images_done)

/* By an id, the beginning of one alone, or a name in any of its forms.  NULL: none. */
const struct cri_image *cri_images_find(const struct cri_images *l, const char *name);

/* The id of what a record's target is, for this machine. */
int cri_image_id(const struct call *call, const struct oci_descriptor *target, const char **ret,
		 struct err *e);

/* Pulls that are on their way: the same image with the same credentials is pulled once. */
struct cri_pulls;
struct cri_pulls *cri_pulls_new(void);
void cri_pulls_free(struct cri_pulls *p); /* NULL is fine */

int cri_pull_image(struct rpc_call *c, const void *req, void *rsp, struct err *e);
