/* linux.resources as a list of writes: pure, so that tests compare it without root.
 *
 * Devices are not in it: devices.h. */
#pragma once

#include "base/err.h"
#include "oci/spec.h"

struct cgroup_write {
	unsigned controller; /* enum cgroup_controller */
	const char *file, *value;
	/* A file that is absent is fine (rsvd limits of older kernels, swap that is off). */
	bool may_miss;
	/* Instead, where `file` is absent; NULL: none. */
	const char *other_file, *other_value;
};

struct cgroup_plan {
	struct cgroup_write *v;
	size_t n, cap;
};

/* v2: bits of the controllers that live in a v2 hierarchy; all others are v1's.
 * ERR_INVALID_ARGUMENT, in runc's words, for what can't be. */
int cgroup_plan_resources(struct arena *a, const struct oci_resources *r, unsigned v2,
			  struct cgroup_plan *ret, struct err *e);

/* cpu.shares (2 … 262144) → cpu.weight (1 … 10000), blkio.weight (10 … 1000) → io.weight (1 …
 * 10000): linear, as runc does. */
uint64_t cgroup_cpu_weight(uint64_t shares);
uint64_t cgroup_io_weight(uint64_t weight);
