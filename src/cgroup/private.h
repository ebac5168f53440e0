/* What the files of cgroup/ share. */
#pragma once

#include "base/str.h"
#include "cgroup/cgroup.h"

struct cgroup_stat;

/* Bits, so that co-mounted controllers are one folder with several. */
enum cgroup_controller {
	CG_CPUSET = 1 << 0,
	CG_CPU = 1 << 1,
	CG_CPUACCT = 1 << 2,
	CG_MEMORY = 1 << 3,
	CG_DEVICES = 1 << 4,
	CG_FREEZER = 1 << 5,
	CG_BLKIO = 1 << 6, /* "io" on v2 */
	CG_PIDS = 1 << 7,
	CG_HUGETLB = 1 << 8,
	CG_PERF_EVENT = 1 << 9,
	CG_NET_CLS = 1 << 10,
	CG_NET_PRIO = 1 << 11,
	CG_RDMA = 1 << 12,
	CG_MISC = 1 << 13,
	CG_SYSTEMD = 1 << 14, /* the named hierarchy */
	CG_UNIFIED = 1 << 15, /* the v2 hierarchy itself */
};

enum {
	/* A v1 container gets a folder in each of these that is mounted. */
	CG_V1_ALL = CG_SYSTEMD | (CG_SYSTEMD - 1),
	CG_V2_ALL = CG_UNIFIED | (CG_SYSTEMD - 1),
};

/* "memory" → CG_MEMORY, "name=systemd" and "io" too; 0: not ours. */
unsigned cgroup_controller_bit(const char *name, size_t n);
/* One bit's name as v1 writes it. */
const char *cgroup_controller_name(unsigned bit);

/* A mounted hierarchy. */
struct hierarchy {
	unsigned controllers; /* bits; CG_UNIFIED is among them for the v2 one */
	char *mount; /* absolute */
	char *own; /* where we live in it, seen from its mount */
};

enum { CG_HIERARCHIES_MAX = 16 };

struct cgroup_mounts {
	enum cgroup_layout layout;
	struct hierarchy h[CG_HIERARCHIES_MAX];
	size_t n;
};

void cgroup_mounts_done(struct cgroup_mounts *m);
#define AUTO_CGROUP_MOUNTS CLEANUP(cgroup_mounts_done)

/* pid 0 is ourselves: whose places `own` tells. */
int cgroup_mounts_read(pid_t pid, struct cgroup_mounts *ret, struct err *e);

/* The text of /proc/PID/cgroup into hierarchies without mounts.  Lines that make no sense are
 * left out.  Pure. */
void cgroup_parse_own(const char *text, struct cgroup_mounts *ret);
/* The text of mountinfo into their mounts, own places corrected by the mount's root.  Pure. */
void cgroup_parse_mountinfo(const char *text, struct cgroup_mounts *m);

/* A path without "//", "." and "..", which never climbs above the start; absolute stays absolute.
 * "" for what cleans to nothing.  The caller frees. */
char *cgroup_path_clean(const char *path);

/* One folder of a cgroup. */
struct cgroup_dir {
	unsigned controllers;
	bool is_v2, is_made; /* made by this handle: to be undone */
	char *path;
	int fd; /* -1: not open or gone */
};

struct cgroup_ops;

struct cgroup {
	enum cgroup_layout layout;
	const struct cgroup_ops *ops;
	struct cgroup_dir dirs[CG_HIERARCHIES_MAX];
	size_t n;
	struct pending *pending; /* create.c's: the device filter that is still to come */
	struct unit *unit; /* systemd.c's; NULL: the folder is our own affair */
};

void cgroup_pending_free(struct pending *p); /* NULL is fine */

/* What differs between v1 (hybrid too) and v2. */
struct cgroup_ops {
	/* The state of the freezer: FROZEN or THAWED; waits for FROZEN. */
	int (*set_frozen)(const struct cgroup *cg, bool frozen, struct err *e);
	int (*is_frozen)(const struct cgroup *cg, bool *ret, struct err *e);
	/* SIGKILL to all at once; -1 with errnum ENOSYS where the kernel has no such thing. */
	int (*kill)(const struct cgroup *cg, struct err *e);
	int (*stat)(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		    struct err *e);
	int (*oom_open)(const struct cgroup *cg, struct cgroup_oom *ret, struct err *e);
};
extern const struct cgroup_ops cgroup_v1_ops, cgroup_v2_ops;

/* The folder that has the controller, or NULL. */
const struct cgroup_dir *cgroup_find(const struct cgroup *cg, unsigned controller);
/* The folder by which processes are counted. */
const struct cgroup_dir *cgroup_main_dir(const struct cgroup *cg);
struct cgroup *cgroup_new(enum cgroup_layout layout);
struct cgroup_dir *cgroup_add_dir(struct cgroup *cg, unsigned controllers, bool is_v2,
				  char *path_take);

/* Files of a folder.  Names have no '/'.  0 or -errno; texts are bounded and terminated. */
int cg_write(int dirfd, const char *file, const char *value);
int cg_read(int dirfd, const char *file, char *buf, size_t size);
/* The number in a file; "max" is UINT64_MAX. */
int cg_read_u64(int dirfd, const char *file, uint64_t *ret);
/* The number behind a key in text of lines "key number"; false when it is not there. */
bool cg_text_u64(const char *text, const char *key, uint64_t *ret);

/* fn for the folder and all below it, with an fd that is good for openat() only; it ends with the
 * first that does not return 0.  0 or -errno; what goes meanwhile is left out. */
int cgroup_walk(int top, int (*fn)(int fd, void *data), void *data);
/* v1: nothing in it or below stands still.  SIGKILL reaches nobody who does. */
void cgroup_thaw_all(const struct cgroup *cg);

/* mkdir -p below the mount, through fds; fills dir.  Both calls may be NULL: on_way before a
 * folder is made in parentfd, on_new after it is there (made now or found). */
struct cgroup_dir_maker {
	int (*on_way)(int parentfd, const char *path, struct err *e);
	int (*on_new)(int parentfd, int fd, const char *path, struct err *e);
};
int cgroup_make_dir(const char *mount, const char *rel, const struct cgroup_dir_maker *m,
		    struct cgroup_dir *dir, struct err *e);
extern const struct cgroup_dir_maker cgroup_v1_maker, cgroup_cpuset_maker, cgroup_v2_maker;

/* create.c's steps, for systemd.c. */
struct cgroup_plan;
unsigned cgroup_v2_controllers(const struct cgroup *cg);
int cgroup_make_dirs(const struct cgroup_config *cfg, const struct cgroup_mounts *m,
		     unsigned wanted, bool has_limits, struct cgroup *cg, struct err *e);
int cgroup_refuse_if_used(const struct cgroup *cg, struct err *e);
int cgroup_move(const struct cgroup *cg, pid_t pid, struct err *e);
int cgroup_apply_devices(struct cgroup *cg, const struct oci_resources *r, bool rootless,
			 bool later, struct err *e);

/* systemd.c's answers to the calls of cgroup.h. */
/* Refuses a limit that asks to be compared with what is in use now: before anything is changed. */
int cgroup_check_usage(const struct cgroup *cg, const struct cgroup_plan *p, struct err *e);

struct unit;
void cgroup_unit_free(struct unit *u); /* NULL is fine */
int cgroup_systemd_create(const struct cgroup_config *cfg, const struct oci_resources *res,
			  struct cgroup **ret, struct err *e);
/* The unit runs, or there is none: folders of a handle that was never attached are another's. */
bool cgroup_unit_is_here(const struct cgroup *cg);
/* cgroup_attach is cgroup_systemd_attach's. */
bool cgroup_unit_moves(const struct cgroup *cg);
int cgroup_systemd_attach(struct cgroup *cg, pid_t pid, struct err *e);
/* Fills the plan for the files, too. */
int cgroup_systemd_update(struct cgroup *cg, struct arena *a, const struct oci_resources *res,
			  struct cgroup_plan *plan, struct err *e);
void cgroup_systemd_for_exec(const struct cgroup *cg, struct cgroup *out);
int cgroup_systemd_stop(struct cgroup *cg, struct err *e);
