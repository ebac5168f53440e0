/* What the files that make a plan share (resources.c and resources_*.c). */
#pragma once

#include "cgroup/private.h"
#include "cgroup/resources.h"

struct planner {
	struct arena *a;
	struct cgroup_plan *p;
	unsigned v2;
	struct err *e;
};

/* Borrowed until the next. */
struct cgroup_write *plan_add(struct planner *p, unsigned controller, const char *file,
			      const char *value);
const char *plan_u64(struct planner *p, uint64_t v);
const char *plan_i64(struct planner *p, int64_t v);
/* -1 is no limit. */
const char *plan_max(struct planner *p, int64_t v);

/* 0 is "not given" to the originals. */
static inline bool plan_is_set(struct oci_i64 v)
{
	return v.has && v.v != 0;
}
static inline bool plan_is_set_u64(struct oci_u64 v)
{
	return v.has && v.v != 0;
}

int plan_memory(struct planner *p, const struct oci_memory *m); /* resources_memory.c */
int plan_cpu(struct planner *p, const struct oci_cpu *c); /* resources_cpu.c */
int plan_blkio(struct planner *p, const struct oci_blkio *b); /* resources_io.c */
