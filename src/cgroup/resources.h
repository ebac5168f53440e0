/* linux.resources as a list of writes: pure, so that tests compare it without root.
 *
 * Devices are not in it: devices.h. */
#pragma once

#include "base/err.h"
#include "oci/spec.h"

enum cgroup_write_kind {
	CGROUP_WRITE,
	CGROUP_WRITE_SHARES, /* v1's cpu.shares: the kernel takes any number and bends it */
	CGROUP_WRITE_UNIFIED, /* a file that the user named; a line at a time */
};

struct cgroup_write {
	enum cgroup_write_kind kind;
	unsigned controller; /* enum cgroup_controller */
	const char *file, *value;
	/* A file that is absent is fine (rsvd limits of older kernels, swap that is off). */
	bool may_miss;
	/* Several values live in the file, by a key: reading it back gives no value to write. */
	bool is_keyed;
	/* Instead, where `file` is absent; NULL: none. */
	const char *other_file, *other_value;
};

struct cgroup_plan {
	struct cgroup_write *v;
	size_t n, cap;
	/* v2, checkBeforeUpdate: new limits that must be above what is in use; 0: not asked. */
	uint64_t check_limit, check_swap;
};

/* v2: bits of the controllers that live in a v2 hierarchy; all others are v1's.
 * ERR_INVALID_ARGUMENT, in runc's words, for what can't be. */
int cgroup_plan_resources(struct arena *a, const struct oci_resources *r, unsigned v2,
			  struct cgroup_plan *ret, struct err *e);

/* cpu.shares (2 … 262144) → cpu.weight (1 … 10000): a curve through both ends and the two
 * defaults (1024 and 100), as runc has it since 1.3.2. */
uint64_t cgroup_cpu_weight(uint64_t shares);
/* blkio.weight (10 … 1000) → io.weight (1 … 10000): a line. */
uint64_t cgroup_io_weight(uint64_t weight);
