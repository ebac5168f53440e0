/* /dev of a container: nodes, links, masks.  All by fds in the rootfs. */
#pragma once

#include "runtime/launch.h"

/* Device nodes, and the links of /dev that programs expect. */
int device_make_all(const struct launch *l, int rootfd, struct err *e);

/* maskedPaths and readonlyPaths. What is not there needs no mask. */
int mask_paths(const struct launch *l, int rootfd, struct err *e);
int mask_make_readonly(const struct launch *l, int rootfd, struct err *e);
