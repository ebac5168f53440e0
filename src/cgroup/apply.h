/* Carries out what resources.h planned. */
#pragma once

#include "cgroup/private.h"
#include "cgroup/resources.h"

/* undo_on_failure: for a cgroup that lives, where a half of an update must not stay.  Files with
 * several values by a key (io.max) keep what was written. */
int cgroup_apply_plan(const struct cgroup *cg, const struct cgroup_plan *p, bool undo_on_failure,
		      struct err *e);
