/* What the actions share.  Private to start.c, server.c, delete.c and info.c. */
#pragma once

#include "shim/actions.h"

/* The runc beside self, "" when there is none.  The caller frees it. */
char *shim_own_runc(const char *self);

/* What containerd hands over, up to its end; a terminal has nothing to tell.  The caller frees it.
 */
int shim_read_stdin(char **ret, size_t *ret_n, struct err *e);
