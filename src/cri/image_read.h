/* Images by the documents of the store: read in one place, for the list as for a container's root,
 * so that both see the same image. */
#pragma once

#include "base/sha256.h"
#include "engine/engine.h"
#include "oci/image.h"

/* A whole document, of at most IMAGE_DOC_MAX bytes, into a. */
int image_read_blob(const struct call *call, struct arena *a, const char *digest, const char **ret,
		    size_t *ret_n, struct err *e);

/* The manifest for this machine in or below a record's target, into a.  *ret_size: of all documents
 * on the way, the config and the layers, as their descriptors have it. */
int image_read_manifest(const struct call *call, struct arena *a,
			const struct oci_descriptor *target, struct image_doc *ret,
			uint64_t *ret_size, struct err *e);

/* What a list says of an image. */
enum { IMAGE_USER_MAX = 256 };
struct image_brief {
	char id[DIGEST_MAX + 1]; /* the config's digest */
	uint64_t size;
	bool has_user;
	char user[IMAGE_USER_MAX]; /* the config's, where that can be read; a longer one is cut */
};

/* Of a record's target.  Documents never change: what was read once is remembered, of as many
 * targets as fit, and only whether config and target are still there is looked up again. */
int image_read_brief(const struct call *call, const struct oci_descriptor *target,
		     struct image_brief *ret, struct err *e);

/* One a daemon. */
struct image_cache;
struct image_cache *image_cache_new(void);
void image_cache_free(struct image_cache *c); /* NULL is fine */
