/* linux.intelRdt: shares of cache and memory bandwidth, by a group in the resctrl file system
 * (Documentation/filesystems/resctrl.rst).
 *
 * A group is named by closID, or else by the container, and then goes with it. */
#pragma once

#include "oci/spec.h"

#include <stdbool.h>

/* What state.json keeps of it. */
struct rdt_state {
	const char *group; /* NULL: none */
	const char *monitor; /* of group/mon_groups; NULL: none */
	bool is_ours; /* the group ends with the container */
};

/* The machine's.  ERR_UNIMPLEMENTED where there is none. */
int rdt_open(struct err *e);

/* All others work below a folder, which a test may make up.  Makes the group, writes its schemata
 * and puts the process in.  What was made goes again on failure. */
int rdt_apply(int rootfd, const struct oci_intel_rdt *r, const char *id, int pid, struct arena *a,
	      struct rdt_state *ret, struct err *e);

/* For exec. */
int rdt_attach(int rootfd, const struct rdt_state *s, int pid, struct err *e);

/* What is ours of it. */
void rdt_remove(int rootfd, const struct rdt_state *s);
