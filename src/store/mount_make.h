/* What mounts need to be there first: folders, and files with a file system in them.  Each is made
 * below one of the roots, never outside, and left alone when it exists. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mount_dir {
	const char *path;
	unsigned mode;
	uint32_t uid, gid;
};

/* The parent must exist.  One that has another mode is ERR_UNIMPLEMENTED, one that is no folder
 * ERR_FAILED_PRECONDITION. */
int mount_make_dir(const char *const *roots, size_t n, const struct mount_dir *d, struct err *e);

struct mount_image {
	const char *path;
	uint64_t size;
	const char *fs; /* ext2, ext3, ext4 or xfs */
	const char *uuid; /* or NULL */
};

/* A sparse file.  It gets its name when it is complete. */
int mount_make_image(const char *const *roots, size_t n, const struct mount_image *i,
		     struct err *e);
