/* Shares of cache and memory bandwidth (Intel RDT) of a container that runs: `update` with
 * --l3-cache-schema and --mem-bw-schema. */
#pragma once

#include "runtime/runtime.h"

struct rdt_update {
	const char *l3_cache_schema, *mem_bw_schema; /* NULL or "": as it was */
	const char *root; /* NULL: /sys/fs/resctrl; tests have their own */
};

/* Whether the machine can do what is asked for: ERR_FAILED_PRECONDITION in runc's words. */
int rdt_update_check(const struct rdt_update *u, struct err *e);

/* Writes them to the group that the container's init is in; one that is in none of its own gets a
 * group by the container's id. */
int rdt_update_write(const struct rdt_update *u, const struct runtime_state *s, struct err *e);

/* The control group in the text of /proc/PID/cpu_resctrl_groups ("res:/x\nmon:\n"), without its
 * '/'; "" for the root's.  Pure; the caller frees. */
char *rdt_parse_group(const char *text);
