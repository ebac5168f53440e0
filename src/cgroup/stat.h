/* The figures of a cgroup: those of io.containerd.cgroups.v1.Metrics and v2.Metrics, in those
 * messages' units and under their names.  A controller that is absent leaves zeroes and its has_
 * false. */
#pragma once

#include "base/mem.h"
#include "cgroup/cgroup.h"

struct cgroup_memory_v1 {
	uint64_t cache, rss, rss_huge, mapped_file, dirty, writeback, pg_pg_in, pg_pg_out, pg_fault,
		pg_maj_fault, inactive_anon, active_anon, inactive_file, active_file, unevictable,
		hierarchical_memory_limit, hierarchical_swap_limit, total_cache, total_rss,
		total_rss_huge, total_mapped_file, total_dirty, total_writeback, total_pg_pg_in,
		total_pg_pg_out, total_pg_fault, total_pg_maj_fault, total_inactive_anon,
		total_active_anon, total_inactive_file, total_active_file, total_unevictable;
	struct cgroup_memory_entry {
		uint64_t limit, usage, max, failcnt;
	} usage, swap, kernel, kernel_tcp;
	uint64_t oom_kill_disable, under_oom, oom_kill;
};

struct cgroup_memory_v2 {
	uint64_t anon, file, kernel_stack, slab, sock, shmem, file_mapped, file_dirty,
		file_writeback, anon_thp, inactive_anon, active_anon, inactive_file, active_file,
		unevictable, slab_reclaimable, slab_unreclaimable, pgfault, pgmajfault,
		workingset_refault, workingset_activate, workingset_nodereclaim, pgrefill, pgscan,
		pgsteal, pgactivate, pgdeactivate, pglazyfree, pglazyfreed, thp_fault_alloc,
		thp_collapse_alloc, usage, usage_limit, swap_usage, swap_limit, max_usage,
		swap_max_usage;
	struct {
		uint64_t low, high, max, oom, oom_kill, oom_group_kill;
	} events;
};

struct cgroup_cpu_v1 { /* nanoseconds; the lists are by processor */
	uint64_t total, kernel, user, *per_cpu, periods, throttled_periods, throttled_time;
	size_t n_per_cpu;
	uint64_t *per_cpu_kernel, *per_cpu_user;
	size_t n_per_cpu_modes;
};

struct cgroup_cpu_v2 { /* microseconds */
	uint64_t usage_usec, user_usec, system_usec, nr_periods, nr_throttled, throttled_usec,
		nr_bursts, burst_usec;
};

struct cgroup_blkio_entry { /* v1 */
	const char *op; /* "Read", "Write", … ; "" for a file without */
	uint64_t major, minor, value;
};

struct cgroup_blkio {
	struct cgroup_blkio_entry *v;
	size_t n;
};

struct cgroup_io { /* v2 */
	uint64_t major, minor, rbytes, wbytes, rios, wios;
};

struct cgroup_hugetlb {
	const char *page_size; /* "2MB" */
	uint64_t usage, max, failcnt;
	bool has_reserved; /* Linux 5.7; max and failcnt of reservations: v1 only */
	uint64_t reserved, reserved_max, reserved_failcnt;
};

/* A file of lines "key number", whole, sorted by key. */
struct cgroup_counters {
	struct cgroup_counter {
		const char *key;
		uint64_t value;
	} * v;
	size_t n;
};

/* v2: how long processes waited for a resource.  Averages in hundredths of a percent, the total in
 * microseconds. */
struct cgroup_pressure {
	bool has; /* the kernel keeps it, and for this cgroup */
	struct cgroup_pressure_line {
		uint32_t avg10, avg60, avg300;
		uint64_t total;
	} some, full;
};

struct cgroup_cpuset { /* v1 */
	uint16_t *cpus, *mems;
	size_t n_cpus, n_mems;
	uint64_t cpu_exclusive, mem_hardwall, mem_exclusive, memory_migrate, memory_spread_page,
		memory_spread_slab, memory_pressure, sched_load_balance;
	int64_t sched_relax_domain_level;
};

struct cgroup_rdma {
	const char *device;
	uint32_t hca_handles, hca_objects; /* UINT32_MAX: no limit */
};

struct cgroup_misc { /* v2 */
	const char *name;
	uint64_t usage, events;
};

struct cgroup_stat {
	enum cgroup_layout layout; /* hybrid is filled as v1 */
	bool has_pids, has_memory, has_cpu, has_io, has_rdma;
	uint64_t pids_current, pids_limit; /* 0: no limit; current is counted without has_pids */
	struct cgroup_memory_v1 memory_v1;
	struct cgroup_memory_v2 memory_v2;
	struct cgroup_counters memory_raw; /* memory.stat */
	struct cgroup_cpu_v1 cpu_v1;
	struct cgroup_cpu_v2 cpu_v2;
	struct cgroup_pressure cpu_pressure, memory_pressure, io_pressure;
	struct cgroup_cpuset cpuset;
	/* v1, recursive */
	struct cgroup_blkio io_service_bytes, io_serviced, io_queued, io_service_time, io_wait_time,
		io_merged, io_time, io_sectors;
	struct cgroup_io *io;
	size_t n_io;
	struct cgroup_hugetlb *hugetlb; /* by size's name */
	size_t n_hugetlb;
	struct cgroup_rdma *rdma_current, *rdma_limit;
	size_t n_rdma; /* of each */
	struct cgroup_misc *misc;
	size_t n_misc;
};

/* What it points to lives in the arena. */
int cgroup_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret, struct err *e);
