/* Namespaces that a container joins by their paths: which of them it may not. */
#pragma once

#include "runtime/plan.h"

/* fd is the opened namespace.  ERR_INVALID_ARGUMENT when it is the caller's own and the plan would
 * change it: its mounts, its names, its sysctls. */
int join_check(const struct plan *p, const struct plan_join *j, int procfd, int fd, struct err *e);
