/* /dev of a container: nodes and links.  All by fds in the rootfs. */
#pragma once

#include "runtime/launch.h"

/* Device nodes, and the links of /dev that programs expect. */
int device_make_all(const struct launch *l, int rootfd, struct err *e);
