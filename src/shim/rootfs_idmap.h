/* Options uidmap= and gidmap= of a rootfs mount: its layers, which belong to the host's ids on the
 * disk, are shown with a container's.  An overlay's upper folder is not mapped: what is written
 * there has the container's ids already. */
#pragma once

#include "shim/rootfs.h"

#include "base/str.h"

/* *ret: a user namespace with the maps, or -1 when the mount has none. */
int rootfs_idmap_open(const struct rootfs_mount *m, int *ret, struct err *e);

/* The detached copy `tree` of a bind's source. */
int rootfs_idmap_tree(int tree, int userns, bool is_recursive, struct err *e);

/* Each folder of `lower` is replaced by a mapped copy, mounted beside the rootfs, since overlayfs
 * takes no detached mounts (before Linux 6.15). */
int rootfs_idmap_lower(const char *rootfs, struct strv *lower, int userns, struct err *e);

/* Takes those copies away: the overlay has its own. */
void rootfs_idmap_done(const char *rootfs);
