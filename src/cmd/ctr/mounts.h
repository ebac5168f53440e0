/* The mounts that a snapshotter answers with, made on a folder. */
#pragma once

#include "cmd/ctr/ctr.h"

/* The value of an option, "upperdir=" as name; the last one counts.  NULL: it has none. */
const char *mounts_option(const Containerd__Types__Mount *m, const char *name);

/* One after the other onto target; what was made is undone when a later one fails. */
int mounts_perform(struct arena *a, Containerd__Types__Mount **v, size_t n, const char *target,
		   struct err *e);

/* One, for us to look into for a moment: whoever else sees it executes nothing in it, as root or
 * not, and opens no device. */
int mounts_perform_safely(struct arena *a, const Containerd__Types__Mount *m, const char *target,
			  struct err *e);

/* Everything that is mounted on target itself.  Nothing being there is fine. */
int mounts_undo(const char *target, struct err *e);
