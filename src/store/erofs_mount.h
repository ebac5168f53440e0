/* EROFS images made from folders, and mounted. */
#pragma once

#include "base/err.h"

/* `image` (new, in dirfd) from the folder `tree` in it, by mkfs.erofs; on the disk when it returns.
 */
int erofs_make(int dirfd, const char *tree, const char *image, struct err *e);

/* A detached read-only mount of the image: of the file itself (Linux 6.12), else over a loop device
 * that goes with its last mount. */
int erofs_open(int dirfd, const char *image, struct err *e);
int erofs_open_loop(int dirfd, const char *image, struct err *e);
