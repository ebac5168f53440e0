/* Labels: small maps from text to text, in an arena; and the field masks that change them.
 * A key is unique in its list.  containerd allows key and value 4096 bytes together. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

struct label {
	const char *key, *value;
};

struct labels {
	struct label *v;
	size_t n;
};

/* The value, or NULL. */
const char *labels_get(const struct labels *l, const char *key);

/* Adds, replaces, or (value "" or NULL) deletes.  Copies both texts. */
void labels_set(struct arena *a, struct labels *l, const char *key, const char *value);

/* A copy without keys whose value is "". */
struct labels labels_copy(struct arena *a, const struct labels *from);

/* ERR_INVALID_ARGUMENT in containerd's words when one is too long. */
int labels_check(const struct labels *l, struct err *e);

/* The paths of a google.protobuf.FieldMask; n == 0 is "no mask": everything that may change. */
struct mask {
	const char *const *paths;
	size_t n;
};

/* path is FIELD ("labels") or FIELD.KEY with dots kept in KEY: applies it to *l from `in` and
 * returns true.  False when path is about something else. */
bool mask_labels(struct arena *a, const char *path, const char *field, struct labels *l,
		 const struct labels *in);

/* For what has nothing else to change: by the mask, or all without one; checked after.  `what` and
 * id are for the error: `cannot update "PATH" field on WHAT "ID"`. */
int labels_update(struct arena *a, struct labels *l, const struct labels *in,
		  const struct mask *mask, const char *what, const char *id, struct err *e);
