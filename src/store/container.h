/* Containers: what shall run, as metadata.  What runs is task/'s. */
#pragma once

#include "store/label.h"
#include "store/store.h"

#include <time.h>

/* A google.protobuf.Any, kept byte for byte.  type_url NULL: absent. */
struct any {
	const char *type_url;
	const void *value;
	size_t n;
};

struct extension {
	const char *key;
	struct any any;
};

struct extensions {
	struct extension *v;
	size_t n;
};

struct container_record {
	const char *id, *image, *runtime_name, *snapshotter, *snapshot_key, *sandbox;
	struct labels labels;
	struct any runtime_options, spec;
	struct extensions extensions;
	struct timespec created, updated;
};

/* Texts in a record are never NULL on the way out; NULL counts as "" on the way in.
 * Errors: `container "x" in namespace "ns"` ERR_NOT_FOUND, `container "x"` ERR_ALREADY_EXISTS. */
int container_create(struct store *s, const char *ns, struct arena *a,
		     const struct container_record *in, struct container_record *ret,
		     struct err *e);
int container_get(struct store *s, const char *ns, struct arena *a, const char *id,
		  struct container_record *ret, struct err *e);

/* Mask: labels, labels.KEY, spec, extensions, extensions.KEY, image, snapshotkey; none: all of
 * them, and another snapshotter or runtime name is ERR_INVALID_ARGUMENT. */
int container_update(struct store *s, const char *ns, struct arena *a,
		     const struct container_record *in, const struct mask *mask,
		     struct container_record *ret, struct err *e);
int container_delete(struct store *s, const char *ns, const char *id, struct err *e);

typedef int container_visit(const struct container_record *r, void *arg, struct err *e);
int container_list(struct store *s, const char *ns, struct arena *a, container_visit *visit,
		   void *arg, struct err *e);

/* The same without copying specs and other Any values: they are the database's, borrowed until
 * last(arg) has returned.  Readers hold the database's old pages, so last() waits for nobody. */
typedef int container_last(void *arg, struct err *e);
int container_list_borrowed(struct store *s, const char *ns, struct arena *a,
			    container_visit *visit, container_last *last, void *arg, struct err *e);
