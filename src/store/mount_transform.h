/* What the prefixes of a mount's type ask for (activation.h); for activation_mounts.c. */
#pragma once

#include "store/activation.h"

/* Where things may be made. */
struct transform_roots {
	const char *v[2];
};

/* The length of a known prefix with its "/", or 0. */
size_t transform_prefix(const char *type);

/* All prefixes, one after the other: r->type is the rest. before: what is mounted already. */
int transform_mount(struct arena *a, const struct transform_roots *roots,
		    const struct activation *before, const struct mount *m, struct mount *r,
		    struct err *e);

/* text with each "{{ word numbers }}" filled in. */
int transform_format(struct arena *a, const struct activation *before, const char *text,
		     const char **ret, struct err *e);
