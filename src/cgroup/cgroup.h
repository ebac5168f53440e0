/* The cgroup of one container, the same to callers on v1, hybrid and v2.
 *
 * A struct cgroup is a handle: one path in each hierarchy that is mounted (v1, hybrid) or one path
 * (v2).  It belongs to one thread, owns only fds and memory, and freeing it leaves the cgroup as
 * it is.  Nothing here waits for events or needs a loop; the fds are for the caller's own.
 *
 *	create:	cgroup_create (folders made, limits set) → clone3 with cgroup_dirfd, or
 *		cgroup_enter in the child, or cgroup_attach in the parent before the child goes on
 *		(with systemd: cgroup_create only says where; cgroup_attach starts the unit)
 *	later:	cgroup_load (from the paths that cgroup_paths gave) → freeze, kill, destroy; stat.h
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

/* The same for a caller that must not wait: false when that would take time (somebody is in it, or
 * it is a unit of systemd's); what has gone by then stays gone. */
bool cgroup_destroy_now(struct cgroup *cg);

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
