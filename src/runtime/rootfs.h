/* The container's root: attached, entered, finished.  In the child, in its mount namespace.
 *
 * Without one of its own (spec: the namespace is the runtime's) all this happens on the host: the
 * rootfs is mounted over itself there, everything below it, and the process is confined by chroot.
 * Nothing above the rootfs is touched; what is mounted stays until its owner unmounts it. */
#pragma once

#include "runtime/launch.h"

/* Cuts the propagation to the host, attaches the rootfs and returns an fd of its root. */
int rootfs_attach(const struct launch *l, struct err *e);

/* Makes it "/" and lets go of everything else. */
int rootfs_enter(const struct launch *l, int rootfd, struct err *e);

/* For a creation on the host's mounts that fails: the mount that holds path, before, and its end
 * (only if another one is there by then). */
int rootfs_mount_id(const char *path, uint64_t *ret, struct err *e);
void rootfs_undo(const char *path, uint64_t id_before);

/* Propagation and read-only, when all mounts below are done. */
int rootfs_finish(const struct launch *l, int rootfd, struct err *e);
