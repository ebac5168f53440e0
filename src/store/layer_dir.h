/* The part of a snapshot's directory that all back ends have. */
#pragma once

#include "base/err.h"

#include <errno.h>
#include <sys/stat.h>

/* fs/, 0755 whatever the umask: a container's user must be able to enter its "/". */
static inline int layer_dir_make(int dirfd, struct err *e)
{
	if (mkdirat(dirfd, "fs", 0755) < 0 || fchmodat(dirfd, "fs", 0755, 0) < 0)
		return err_sys(e, errno, "create snapshot directory");
	return 0;
}
