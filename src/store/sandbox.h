/* Sandboxes: what shall hold containers together, as metadata.  What runs is task/'s. */
#pragma once

#include "store/container.h"

struct sandbox_record {
	const char *id;
	const char *sandboxer; /* the name of a controller */
	const char *runtime_name;
	struct any runtime_options, spec;
	struct labels labels;
	struct extensions extensions;
	struct timespec created, updated;
};

/* Texts as in container.h.  Errors: `bucket "x" not found` ERR_NOT_FOUND, `write error: sandbox
 * bucket "x" already exists` ERR_ALREADY_EXISTS: the original's words. */
int sandbox_create(struct store *s, const char *ns, struct arena *a,
		   const struct sandbox_record *in, struct sandbox_record *ret, struct err *e);
int sandbox_get(struct store *s, const char *ns, struct arena *a, const char *id,
		struct sandbox_record *ret, struct err *e);

/* Mask: labels, labels.KEY, extensions, extensions.KEY, spec, runtime; none: all of them, and
 * another runtime's name is ERR_INVALID_ARGUMENT. */
int sandbox_update(struct store *s, const char *ns, struct arena *a,
		   const struct sandbox_record *in, const struct mask *mask,
		   struct sandbox_record *ret, struct err *e);
int sandbox_delete(struct store *s, const char *ns, const char *id, struct err *e);

typedef int sandbox_visit(const struct sandbox_record *r, void *arg, struct err *e);
int sandbox_list(struct store *s, const char *ns, struct arena *a, sandbox_visit *visit, void *arg,
		 struct err *e);
