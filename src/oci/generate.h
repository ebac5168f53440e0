/* The runtime spec (config.json) of a container, made from an image's config and a caller's
 * wishes: the defaults that containerd's clients give (capabilities, mounts, masked paths,
 * namespaces, device rules).
 *
 * Pure: no file is read here.  User names are looked up by the caller, by the two passwd and
 * group functions at the end, which take the bytes of the image's own files (so they are hostile).
 * What comes from the image is env, args, cwd and user; nothing of it steers the host. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "oci/spec.h"

enum gen_seccomp {
	GEN_SECCOMP_NONE, /* unconfined, as ctr's default is */
	GEN_SECCOMP_PROFILE, /* `seccomp_profile`: a linux.seccomp object as JSON text */
};

struct gen_device {
	const char *path;
	char type; /* c or b */
	int64_t major, minor;
	uint32_t mode, uid, gid;
	const char *access; /* of "rwm" */
};

/* A join by path; NULL: no namespace of that type (the host's); "": a new one. */
struct gen_namespace {
	enum oci_ns type;
	const char *path;
};

/* Zero-initialised is a container that does nothing special; only cgroups_path and args are
 * needed.  All strings are borrowed. */
struct generate {
	/* process */
	const char *const *args; /* NULL-terminated */
	const char *const *image_env; /* NULL-terminated or NULL */
	const char *const *env; /* "K=V" sets or replaces; "K" alone removes */
	const char *cwd; /* NULL: "/" */
	struct oci_user user;
	bool terminal, allow_new_privileges, all_capabilities, no_default_capabilities;
	const char *const *cap_add, *const *cap_drop; /* "CAP_CHOWN" or "chown" */
	const char *const *cap_ambient; /* in the kernel's names; inheritable, too */
	bool no_rlimits; /* those of the daemon; else 1024 open files */
	struct oci_i64 oom_score_adj;
	const char *selinux_label, *mount_label; /* or NULL */
	/* file system */
	const char *root_path; /* NULL: "rootfs" */
	bool root_readonly;
	const struct oci_mount *mounts; /* after the default ones */
	bool bare_mounts; /* without the default ones */
	size_t n_mounts;
	const char *rootfs_propagation;
	/* isolation */
	const char *hostname;
	const char *cgroups_path; /* NULL: none */
	const struct gen_namespace *namespaces; /* replace the default of their type */
	size_t n_namespaces;
	bool privileged; /* all capabilities, writable sysfs, nothing masked, no seccomp */
	enum gen_seccomp seccomp;
	const char *seccomp_profile;
	const char *apparmor_profile;
	/* in place of the default ones, also when privileged; NULL: those */
	const char *const *masked_paths, *const *readonly_paths;
	struct oci_pairs sysctl;
	struct oci_idmappings uid_mappings, gid_mappings; /* a user namespace when not empty */
	/* resources; 0 or !has: not limited */
	struct oci_i64 memory_limit, memory_swap, cpu_quota, pids_limit;
	const struct oci_hugepage *hugepages;
	size_t n_hugepages;
	struct oci_pairs unified; /* files of cgroup v2 */
	struct oci_u64 cpu_period, cpu_shares;
	const char *cpuset_cpus, *cpuset_mems; /* "1-2,4", or NULL */
	const char *rdt_class; /* a resctrl group, or NULL */
	const struct oci_hook *create_runtime; /* or NULL; its lists end with NULL, too */
	const struct gen_device *devices;
	size_t n_devices;
	bool all_devices; /* the cgroup lets every device through */
	/* annotations */
	struct oci_pairs annotations;
};

/* The spec as JSON on one line, fields in the order Go writes them.  The caller frees *ret. */
int generate_spec(const struct generate *g, char **ret, struct err *e);

/* The profile that containerd's clients give, a linux.seccomp object: what an ordinary program
 * needs, and what these capabilities would be useless without.  The caller frees it. */
char *seccomp_default_profile(const struct strv *capabilities);

/* The capabilities that `cap_add` and `cap_drop` leave, in the kernel's names. ERR_INVALID_ARGUMENT
 * for a name that is none. */
int generate_capabilities(const struct generate *g, struct strv *ret, struct err *e);

/* env with changes applied: what a spec's process.env becomes ("K=V" replaces in place). */
void generate_env(const char *const *base, const char *const *changes, struct strv *ret);

/* A user as images and -u write it: "", "name", "uid", "name:group", "uid:gid" …
 * passwd and group are the files' bytes ("" when absent).  A number stays a number; one that is no
 * id (negative, above 2^31 - 1) is an error and never looked up as a name.  additional_gids lives
 * in a. */
int generate_user(struct arena *a, const char *user, const char *passwd, const char *group,
		  struct oci_user *ret, struct err *e);
