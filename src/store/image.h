/* Images: names with a target descriptor. */
#pragma once

#include "store/label.h"
#include "store/store.h"

#include <time.h>

struct descriptor {
	const char *media_type, *digest;
	int64_t size;
	struct labels annotations;
};

struct image_record {
	const char *name;
	struct labels labels;
	struct descriptor target;
	struct timespec created, updated;
};

/* Times of in->created (create) and in->updated (update) count when they are set: reproducible
 * builds.  All return the stored record in *ret (arena a).  Errors: ERR_NOT_FOUND /
 * ERR_ALREADY_EXISTS `image "x"`, ERR_INVALID_ARGUMENT for what a record may not hold. */
int image_create(struct store *s, const char *ns, const char *lease, struct arena *a,
		 const struct image_record *in, struct image_record *ret, struct err *e);
int image_get(struct store *s, const char *ns, struct arena *a, const char *name,
	      struct image_record *ret, struct err *e);

/* Mask: target, labels, annotations, labels.KEY, annotations.KEY; none replaces the record. */
int image_update(struct store *s, const char *ns, const char *lease, struct arena *a,
		 const struct image_record *in, const struct mask *mask, struct image_record *ret,
		 struct err *e);

/* target: NULL, or delete only while the record's target is this (digest, media type, size);
 * ERR_NOT_FOUND otherwise. */
int image_delete(struct store *s, const char *ns, const char *name, const struct descriptor *target,
		 struct err *e);

/* In the order of names.  Records live in a until the caller frees it. */
typedef int image_visit(const struct image_record *r, void *arg, struct err *e);
int image_list(struct store *s, const char *ns, struct arena *a, image_visit *visit, void *arg,
	       struct err *e);
