/* The host's procfs as one handle with a checked identity: every write of ours to procfs goes
 * through it, so that nothing mounted or linked elsewhere can take its place. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* An O_PATH fd of /proc, which is a procfs. */
int procfs_open(struct err *e);

/* Opens a file below it: no symlinks, no other mounts, and what is opened is on procfs. */
int procfs_open_file(int procfd, const char *path, int flags, struct err *e);

/* One write, as the kernel takes such values. */
int procfs_write(int procfd, const char *path, const char *value, struct err *e);
