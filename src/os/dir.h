/* What is in a folder of the host's own.  Nothing here is for paths inside a container's rootfs,
 * which are os/path.h's. */
#pragma once

#include "base/str.h"

/* Adds the names in the folder to *ret, without "." and "..", in no order.  0 or -errno; a link at
 * its place is followed.  All are in memory before the caller looks at the first one, so that he
 * may remove what they name. */
int dir_names(int dirfd, const char *path, struct strv *ret);
