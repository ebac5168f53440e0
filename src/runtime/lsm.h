/* Labels of security modules: is there anybody who would enforce them? */
#pragma once

#include "runtime/plan.h"

/* A profile or label without its module is refused, in runc's words: it would protect nobody.
 * Looks at nothing where the process has none. */
int lsm_check(const struct plan_process *p, const char *mount_label, struct err *e);
