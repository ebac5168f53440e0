/* The cgroup of one container, the same to callers on v1, hybrid and v2.
 *
 * A struct cgroup is a handle: one path in each hierarchy that is mounted (v1, hybrid) or one path
 * (v2).  It belongs to one thread, owns only fds and memory, and freeing it leaves the cgroup as
 * it is.  Nothing here waits for events or needs a loop; the fds are for the caller's own.
 *
 *	create:	cgroup_create (folders made, limits set) → clone3 with cgroup_dirfd, or
 *		cgroup_enter in the child, or cgroup_attach in the parent before the child goes on
 *		(with systemd: cgroup_create only says where; cgroup_attach starts the unit)
 *	later:	cgroup_load (from the paths that cgroup_paths gave) → freeze, stat, kill, destroy
 *
 * Errors are ERR_UNKNOWN with the file and the errno for what the kernel refused;
 * ERR_INVALID_ARGUMENT for limits that cannot be (`unified` keys with a '/', ranges). */
#pragma once

#include "base/err.h"
#include "oci/spec.h"

struct cgroup;

enum cgroup_layout {
	CGROUP_V1, /* one tmpfs, a v1 hierarchy a controller */
	CGROUP_HYBRID, /* the same, and cgroup2 at /sys/fs/cgroup/unified */
	CGROUP_V2, /* /sys/fs/cgroup is cgroup2 */
};

int cgroup_layout_detect(enum cgroup_layout *ret, struct err *e);

/* What is done here at all, whatever this machine has. */
struct cgroup_support {
	bool v1, v2, systemd, systemd_user;
};
extern const struct cgroup_support cgroup_support;

struct cgroup_config {
	/* linux.cgroupsPath: absolute from the mount's root, relative from our own cgroup, NULL
	 * or "": /<id> below our own.  Cleaned: ".." never leaves the root. */
	const char *path;
	const char *id;
	bool systemd; /* --systemd-cgroup: path is SLICE:PREFIX:NAME; rootless: the user's own */
	const struct oci_pairs *annotations; /* systemd: org.systemd.property.*; NULL: none */
	bool has_owner; /* systemd on v2: who may write to it, besides us */
	uid_t owner;
	bool rootless; /* a folder that we may not make is left out, if no limit needs it */
	/* v2's device filter, half a millisecond's work, is left to cgroup_finish, which must have
	 * succeeded before anything of the container's runs. */
	bool devices_later;
	/* Told of each folder before it is made, as a pair for cgroup_load: so that what a
	 * creator leaves that is killed can be found.  NULL: nobody is told. */
	int (*on_place)(void *data, const char *controller, const char *path, struct err *e);
	void *data;
};

/* Makes the folders and sets the limits (res may be NULL: the default device rules only).  What
 * was made goes again on failure.  Folders that exist are taken over, unless processes live
 * there or it is frozen.  With systemd, what cfg and res point to must live until cgroup_attach,
 * which has the rest of the errors. */
int cgroup_create(const struct cgroup_config *cfg, const struct oci_resources *res,
		  struct cgroup **ret, struct err *e);

/* What devices_later put off; nothing where there was nothing to. */
int cgroup_finish(struct cgroup *cg, struct err *e);

/* A handle from saved paths, as runc's state.json has them: controller ("" on v2) → absolute path.
 * Paths that are gone are fine. */
int cgroup_load(const struct oci_pairs *paths, struct cgroup **ret, struct err *e);

/* A handle to where a process lives: for those who know only the pid. */
int cgroup_load_pid(pid_t pid, struct cgroup **ret, struct err *e);

void cgroup_free(struct cgroup *cg); /* NULL is fine */
static inline void cgroup_freep(struct cgroup **cg)
{
	cgroup_free(*cg);
}
#define AUTO_CGROUP CLEANUP(cgroup_freep)

enum cgroup_layout cgroup_layout_of(const struct cgroup *cg);

/* What to save for cgroup_load, in the arena. */
void cgroup_paths(const struct cgroup *cg, struct arena *a, struct oci_pairs *ret);

/* The unit of the systemd driver, to be saved beside the paths: borrowed from cg; false where
 * there is none. */
struct cgroup_unit {
	const char *name; /* "runc-box.scope" */
	bool is_user; /* of the user's own manager */
};
bool cgroup_unit(const struct cgroup *cg, struct cgroup_unit *ret);
/* Makes a loaded handle one of that unit's, if it has a name: update and destroy tell systemd. */
void cgroup_use_unit(struct cgroup *cg, const struct cgroup_unit *unit);

/* The folder for clone3's CLONE_INTO_CGROUP; borrowed from cg; -1 where there is none (v1, a
 * systemd unit that starts with the process).  On v2 that is all; in the hybrid layout the process
 * still has to enter v1's hierarchies, or be attached. */
int cgroup_dirfd(const struct cgroup *cg);

/* The caller itself, a process with one thread, goes into v1's hierarchies, and into the unified
 * one unless it was born there.  To be preferred where it may write there (no user namespace, no
 * systemd unit): nobody else's threads have to be kept still for it, while cgroup_attach makes the
 * kernel wait for an RCU grace period (kernel 5.5, cgroup_procs_write_start()). */
bool cgroup_can_enter(const struct cgroup *cg);
int cgroup_enter(const struct cgroup *cg, bool in_unified, struct err *e);

/* Moves a process in, in every hierarchy.  Nothing to do after CLONE_INTO_CGROUP. */
int cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e);

/* Where an additional process (exec) of the container goes.  subs (`exec --cgroup`) are existing
 * paths below cg by controller, "" for all hierarchies, and stay below, also through "..".  On v2,
 * where a folder with children that have controllers takes no processes, it is the cgroup of init
 * unless told otherwise.  *ret is a new handle. */
int cgroup_for_exec(const struct cgroup *cg, const struct oci_pairs *subs, pid_t init,
		    struct cgroup **ret, struct err *e);

/* New limits on a cgroup that lives (`update`); only what res has is touched. */
int cgroup_update(struct cgroup *cg, const struct oci_resources *res, struct err *e);

/* Waits, bounded, until all processes stand still.  Thaw does not wait. */
int cgroup_freeze(struct cgroup *cg, struct err *e);
int cgroup_thaw(struct cgroup *cg, struct err *e);
int cgroup_is_frozen(const struct cgroup *cg, bool *ret, struct err *e);

/* All processes, children cgroups' too, in no order.  An absent cgroup has none. */
struct cgroup_pids {
	pid_t *v; /* the caller frees it (cgroup_pids_done) */
	size_t n, cap;
};
int cgroup_list_pids(const struct cgroup *cg, struct cgroup_pids *ret, struct err *e);
void cgroup_pids_done(struct cgroup_pids *p);
#define AUTO_CGROUP_PIDS CLEANUP(cgroup_pids_done)

/* A signal to every process.  SIGKILL is by cgroup.kill where the kernel has it, so that no fork
 * slips through; frozen processes die too.  Does not wait for the deaths. */
int cgroup_kill(struct cgroup *cg, int sig, struct err *e);

/* Removes the folders and their children's; waits, bounded (10 s), for dying processes to leave.
 * What is gone already is fine. */
int cgroup_destroy(struct cgroup *cg, struct err *e);

/* OOM events: an fd that polls readable; after each wake-up cgroup_oom_read says how often memory
 * ran out since (0: something else happened).  gone: the cgroup was removed or, on v2, has no
 * process any more.  A v2 cgroup without the memory controller only tells when it is gone. */
struct cgroup_oom {
	int fd;
	int event_fd; /* where the count is read; -1: nowhere */
	int populated_fd; /* v2: cgroup.events */
	uint64_t seen;
	bool is_v2;
};
int cgroup_oom_open(const struct cgroup *cg, struct cgroup_oom *ret, struct err *e);
int cgroup_oom_read(struct cgroup_oom *oom, uint64_t *ret_kills, bool *ret_gone, struct err *e);
void cgroup_oom_close(struct cgroup_oom *oom);

/* The numbers of io.containerd.cgroups.v1.Metrics and v2.Metrics, in those messages' units and
 * under their names.  A controller that is absent leaves zeroes and its has_ false. */
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
