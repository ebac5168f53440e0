/* What will be done to make a container, decided before anything is done.
 *
 * plan_make() is a pure function of the spec: no system calls, so it is tested without root by
 * comparing plan_print()'s text.  The executor (parent.c, init.c and the files they call) performs
 * the plan and decides nothing.  A plan lives in an arena; strings may be the spec's own. */
#pragma once

#include "base/str.h"
#include "oci/spec.h"
#include "runtime/tune.h"

#include <sys/resource.h>

/* One key of fsconfig(2); value NULL is a flag. */
struct fs_param {
	const char *key, *value;
};

enum mount_kind {
	MOUNT_BIND, /* a copy of a tree of the host */
	MOUNT_FS, /* a new instance of a file system */
	MOUNT_CGROUP, /* the container's cgroups: depends on the machine's layout */
	MOUNT_CHANGE, /* "remount": only the attributes of what is there */
};

struct mount_op {
	enum mount_kind kind;
	const char *dest; /* cleaned, absolute, in the rootfs */
	const char *fstype, *source;
	/* of a bind whose source is in the rootfs: its path in there, as the mounts before left it
	 */
	const char *source_inside;
	bool recursive; /* of a bind */
	bool copy_up; /* tmpcopyup: a new tmpfs gets what was below */
	bool late_readonly; /* read-only in the end: mount points and devices are made in it first
			     */
	bool may_cover_proc; /* /proc or one of the files that lxcfs replaces */
	uint64_t set, clear; /* MOUNT_ATTR_… of the mount */
	uint64_t drop; /* of a bind with options: what they don't name, and its source may have */
	uint64_t rec_set, rec_clear; /* of everything below it ("rro" …) */
	uint64_t propagation, rec_propagation; /* MS_SHARED, … or 0 */
	struct fs_param *params;
	size_t n_params;
	bool idmap, rec_idmap; /* of a bind: other owners, by a user namespace with … */
	const char *uid_map, *gid_map; /* … these maps; NULL: by the one that is joined */
};

struct plan_join {
	enum oci_ns type;
	const char *path;
};

struct plan_rlimit {
	int resource;
	struct rlimit limit;
	const char *name;
};

/* Bit n is capability n. */
struct plan_caps {
	bool is_set; /* without: the process keeps what its creator has */
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

/* What a process becomes at its end, by create or by exec. */
struct plan_process {
	const char **args, **env; /* NULL-terminated */
	const char *cwd;
	uint32_t uid, gid;
	gid_t *groups; /* the primary one is among them */
	size_t n_groups;
	bool has_umask;
	mode_t umask;
	struct plan_caps caps;
	struct plan_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	bool has_oom_score_adj;
	int oom_score_adj;
	bool terminal;
	unsigned short rows, columns; /* 0: left as the terminal has them */
	const char *apparmor, *selinux; /* NULL: none */
	struct tune tune;
};

struct plan {
	const char *id, *bundle, *rootfs; /* absolute host paths */
	const char *notify; /* restore only: what may be at STATE_NOTIFY_INSIDE */
	const char *hostname, *domainname;
	uint64_t new_ns; /* CLONE_NEW… flags */
	struct plan_join *joins; /* in the order they are joined: user first, mount last */
	size_t n_joins;
	uint64_t all_ns; /* new and joined */
	const char *uid_map, *gid_map; /* the kernel's text, NULL without a new user namespace */
	const char *time_offsets; /* the same; NULL: none, or not a new time namespace */
	uint64_t root_propagation; /* MS_… of "/" in the end */
	bool root_readonly;
	const char *mount_label; /* SELinux's context of new file systems; NULL: none */
	struct mount_op *mounts;
	size_t n_mounts;
	bool has_late_readonly; /* any of them */
	bool has_inner_idmap; /* one has other owners, and a source in the rootfs */
	bool make_devices; /* /dev is not bound from the host */
	bool has_devpts; /* a new one on /dev/pts */
	struct oci_device *devices; /* the spec's and the default ones */
	size_t n_devices;
	struct oci_strings masked, readonly;
	struct oci_pairs sysctl; /* keys with '/' */
	const struct oci_net_device *net_devices; /* the spec's */
	size_t n_net_devices;
	const struct oci_intel_rdt *rdt; /* the spec's; NULL: none */
	bool has_process;
	struct plan_process process;
	struct strv warnings; /* what the caller should tell the user; freed by plan_done */
};

struct plan_input {
	const char *id, *bundle; /* absolute */
	const struct oci_spec *spec;
};

/* Fills *ret (zeroed by the callee).  Everything that the spec asks for and that is not done here
 * is ERR_UNIMPLEMENTED and names the field; what contradicts itself is ERR_INVALID_ARGUMENT. */
int plan_make(struct arena *a, const struct plan_input *in, struct plan *ret, struct err *e);
void plan_done(struct plan *p);

/* The parts, for exec and for tests. */
int plan_process(struct arena *a, const struct oci_process *p, struct plan_process *ret,
		 struct strv *warnings, struct err *e);
int plan_mount(struct arena *a, const struct oci_mount *m, struct mount_op *ret, struct err *e);
int plan_mounts(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e);
int plan_namespaces(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e);

/* An absolute path without ".", "..", doubled and trailing slashes. */
const char *plan_clean_path(struct arena *a, const char *path);

/* One line an operation. */
void plan_print(const struct plan *p, struct str *out);

/* CLONE_NEW… of a namespace. */
uint64_t plan_ns_flag(enum oci_ns ns);

/* What is known, for those who describe us. Options by number, NULL behind the last. */
bool plan_knows_ns(enum oci_ns ns);
const char *plan_mount_option_name(size_t i);
bool plan_knows_mount_option(const char *name);

/* The new namespaces that the child is born in.  Others it makes itself: a cgroup namespace's root
 * is the cgroup one is in, and a time namespace's offsets are set before anybody enters it. */
uint64_t plan_clone_flags(const struct plan *p);
