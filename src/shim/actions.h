/* What the shim's program does, one function an action.  Each returns its exit code; failures are
 * told on stderr. */
#pragma once

#include "shim/args.h"

/* `start`: finds or makes the group's shim and prints its address.  self is our own path. */
int shim_start(const struct shim_args *args, char **argv, const char *self);

/* No action: serves on the socket that is fd 3, until Shutdown. */
int shim_serve(const struct shim_args *args, const char *self);

/* `delete`: whatever is left of a container goes. */
int shim_delete(const struct shim_args *args, const char *self);

/* -info: what this shim and its runtime can do. */
int shim_info(const char *self);

int shim_fail(const struct err *e); /* prints, returns 1 */
