/* The container's root: attached, entered, finished.  In the child, in its mount namespace. */
#pragma once

#include "runtime/launch.h"

/* Cuts the propagation to the host, attaches the rootfs and returns an fd of its root. */
int rootfs_attach(const struct launch *l, struct err *e);

/* Makes it "/" and lets go of everything else. */
int rootfs_enter(const struct launch *l, int rootfd, struct err *e);

/* Propagation and read-only, when all mounts below are done. */
int rootfs_finish(const struct launch *l, int rootfd, struct err *e);
