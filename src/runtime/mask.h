/* What a container may not see, or not change, of its own file system.  By fds in the root. */
#pragma once

#include "runtime/launch.h"

/* readonlyPaths, then maskedPaths.  What is not there needs neither.  Before the root is entered:
 * the mask of files is the host's own null device, and the old way of mounting has no place for a
 * copy later. */
int mask_protect_paths(const struct launch *l, int rootfd, struct err *e);
int mask_paths(const struct launch *l, int rootfd, struct err *e);

/* The mounts that mount_all() left writable, by its own fds: after the last thing of ours is made
 * in them. */
int mask_protect_mounts(const struct launch *l, struct err *e);
