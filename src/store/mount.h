/* Mounts as snapshotters describe them and clients make them. */
#pragma once

#include <stddef.h>

struct mount {
	const char *type, *source, *target;
	const char **options;
	size_t noptions;
};

struct mounts {
	struct mount *v;
	size_t n;
};
