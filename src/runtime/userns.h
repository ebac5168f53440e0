/* A user namespace for its id maps alone: what an idmapped mount is made with. */
#pragma once

#include "base/err.h"

/* An fd of a new user namespace with these maps (the kernel's text), which no process is left in.
 * procfd: the host's /proc. */
int userns_open(int procfd, const char *uid_map, const char *gid_map, struct err *e);
