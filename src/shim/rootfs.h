/* The rootfs that a Create names by mounts, on BUNDLE/rootfs.
 *
 * By the new mount API: each layer folder of an overlay is an option of its own, so that no list is
 * too long for a page, and the finished mount is moved onto the folder by descriptor.  Kernels
 * without it (before 5.2, or 6.5 for overlay's lowerdir+) get mount(2) with the relative-path
 * trick. */
#pragma once

#include "base/err.h"

struct rootfs_mount {
	const char *type, *source, *target; /* target below the rootfs; "" is itself */
	const char *const *options;
	size_t n_options;
};

/* All mounted, or none.  rootfs must be a folder. */
int rootfs_mount_all(const char *rootfs, const struct rootfs_mount *m, size_t n, struct err *e);

/* Every mount on it, the last one first; lazily where it is busy.  None is fine. */
int rootfs_unmount(const char *rootfs, struct err *e);
