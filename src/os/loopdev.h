/* Loop devices: a file as a block device.  All return -errno on failure. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

enum { LOOPDEV_PATH = 32, LOOPDEV_MARK = 63 };

/* A free device gets the file: its descriptor and its path.  It goes away by itself with its last
 * user, unless it is kept.  mark (or NULL) is how it is told again later: at most LOOPDEV_MARK
 * bytes of it, counted from its end. */
int loopdev_attach(int file, bool is_readonly, const char *mark, char ret_path[LOOPDEV_PATH]);

/* The device that has the file already, or a new one: two devices of one file would not see each
 * other's writes.  A writer is not given a device that can only be read.  The same rules as above.
 */
struct loopdev_wish {
	bool is_readonly, is_direct; /* is_direct: past the page cache, of a new one */
};
int loopdev_share(int file, const struct loopdev_wish *w, char ret_path[LOOPDEV_PATH]);

/* From now on it stays when nobody uses it. */
int loopdev_keep(int loop);

/* Lets the file go, now or with the last user; a device without a file, or with another mark than
 * this one, is left alone: its number may be somebody else's by now. */
int loopdev_detach(const char *path, const char *mark);
