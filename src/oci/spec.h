/* The OCI runtime spec (config.json) as plain C structs: the subset that runs on Linux.
 *
 * Names are the spec's.  Everything a struct points to lives in the arena it was parsed into.
 * Strings are NULL where the document had none; `has_` says whether a number was there, where
 * absent and 0 differ.  Spec: github.com/opencontainers/runtime-spec, config.md and
 * config-linux.md, 1.0 to 1.3. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The newest version of the spec whose fields are known here; the oldest is 1.0.0. */
#define OCI_SPEC_VERSION "1.3.0"

/* A list of strings, NULL-terminated; NULL and 0 when absent. */
struct oci_strings {
	const char **v;
	size_t n;
};

struct oci_pair {
	const char *key, *value;
};

struct oci_pairs {
	struct oci_pair *v;
	size_t n;
};

/* A number that may be absent. */
struct oci_u64 {
	uint64_t v;
	bool has;
};

struct oci_i64 {
	int64_t v;
	bool has;
};

struct oci_idmapping {
	uint32_t container_id, host_id, size;
};

struct oci_idmappings {
	struct oci_idmapping *v;
	size_t n;
};

struct oci_user {
	uint32_t uid, gid;
	bool has_umask;
	uint32_t umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
};

struct oci_rlimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

/* As written ("CAP_CHOWN"). */
struct oci_capabilities {
	struct oci_strings bounding, effective, inheritable, permitted, ambient;
};

struct oci_scheduler {
	const char *policy; /* "SCHED_FIFO" */
	int64_t nice, priority;
	struct oci_strings flags; /* "SCHED_FLAG_RESET_ON_FORK" */
	uint64_t runtime, deadline, period;
};

struct oci_io_priority {
	const char *class; /* "IOPRIO_CLASS_BE" */
	int64_t priority;
};

/* Lists of processors ("0-3,7") for processes of exec. */
struct oci_cpu_affinity {
	const char *initial, *final;
};

struct oci_process {
	bool terminal;
	bool has_console_size;
	uint64_t console_height, console_width;
	struct oci_user user;
	struct oci_strings args, env;
	const char *cwd;
	struct oci_capabilities *capabilities;
	struct oci_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	struct oci_i64 oom_score_adj;
	const char *apparmor_profile, *selinux_label;
	struct oci_scheduler *scheduler; /* NULL: none, and so the next two */
	struct oci_io_priority *io_priority;
	struct oci_cpu_affinity *exec_cpu_affinity;
};

struct oci_mount {
	const char *destination, *type, *source;
	struct oci_strings options;
	struct oci_idmappings uid_mappings, gid_mappings;
};

struct oci_hook {
	const char *path;
	struct oci_strings args, env;
	int64_t timeout; /* seconds; 0: none */
};

struct oci_hook_list {
	struct oci_hook *v;
	size_t n;
};

struct oci_hooks {
	struct oci_hook_list prestart, create_runtime, create_container, start_container, poststart,
		poststop;
};

enum oci_ns {
	OCI_NS_PID,
	OCI_NS_NETWORK,
	OCI_NS_MOUNT,
	OCI_NS_IPC,
	OCI_NS_UTS,
	OCI_NS_USER,
	OCI_NS_CGROUP,
	OCI_NS_TIME,
	OCI_NS_COUNT,
};

extern const char *const oci_ns_names[OCI_NS_COUNT]; /* the spec's: "pid", "network" … */

struct oci_namespace {
	enum oci_ns type;
	const char *path; /* NULL: a new one */
};

struct oci_device {
	const char *path;
	char type; /* c, u, b or p */
	int64_t major, minor;
	bool has_file_mode;
	uint32_t file_mode, uid, gid;
};

/* linux.resources */
struct oci_device_rule {
	bool allow;
	char type; /* a, c or b */
	struct oci_i64 major, minor; /* absent or -1: any */
	const char *access; /* of "rwm" */
};

struct oci_hugepage {
	const char *page_size; /* "2MB" */
	uint64_t limit;
};

struct oci_throttle {
	int64_t major, minor;
	uint64_t rate;
};

struct oci_throttles {
	struct oci_throttle *v;
	size_t n;
};

struct oci_weight_device {
	int64_t major, minor;
	struct oci_u64 weight, leaf_weight;
};

struct oci_memory {
	struct oci_i64 limit, reservation, swap, kernel, kernel_tcp;
	struct oci_u64 swappiness;
	bool disable_oom_killer, use_hierarchy, check_before_update;
};

struct oci_cpu {
	struct oci_u64 shares, period, burst, realtime_period;
	struct oci_i64 quota, realtime_runtime, idle;
	const char *cpus, *mems;
};

struct oci_blkio {
	struct oci_u64 weight, leaf_weight;
	struct oci_weight_device *weight_devices;
	size_t n_weight_devices;
	struct oci_throttles read_bps, write_bps, read_iops, write_iops;
};

struct oci_rdma {
	const char *device; /* "mlx5_1" */
	struct oci_u64 hca_handles, hca_objects;
};

struct oci_if_priority {
	const char *name; /* of a network interface */
	uint64_t priority;
};

struct oci_network {
	struct oci_u64 class_id;
	struct oci_if_priority *priorities;
	size_t n_priorities;
};

struct oci_resources {
	struct oci_device_rule *devices;
	size_t n_devices;
	struct oci_memory memory;
	struct oci_cpu cpu;
	struct oci_i64 pids_limit;
	struct oci_blkio blkio;
	struct oci_hugepage *hugepages;
	size_t n_hugepages;
	struct oci_rdma *rdma;
	size_t n_rdma;
	struct oci_network network;
	struct oci_pairs unified;
};

/* linux.seccomp, names as the spec writes them ("SCMP_ACT_ERRNO") */
struct oci_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	const char *op;
};

struct oci_syscall {
	struct oci_strings names;
	const char *action;
	struct oci_u64 errno_ret;
	struct oci_seccomp_arg *args;
	size_t n_args;
};

struct oci_seccomp {
	const char *default_action;
	struct oci_u64 default_errno_ret;
	struct oci_strings architectures, flags;
	struct oci_syscall *syscalls;
	size_t n_syscalls;
	const char *listener_path, *listener_metadata;
};

struct oci_personality {
	const char *domain; /* "LINUX32" */
	struct oci_strings flags;
};

struct oci_memory_policy {
	const char *mode, *nodes; /* "MPOL_BIND", "0-3" */
	struct oci_strings flags;
};

struct oci_time_offset {
	const char *clock; /* "monotonic", "boottime" */
	int64_t secs;
	uint32_t nanosecs;
};

struct oci_net_device {
	const char *name; /* on the host */
	const char *new_name; /* in the container; NULL: the same */
};

struct oci_intel_rdt {
	const char *clos_id;
	struct oci_strings schemata;
	const char *l3_cache_schema, *mem_bw_schema;
	bool enable_monitoring;
};

struct oci_linux {
	struct oci_idmappings uid_mappings, gid_mappings;
	struct oci_pairs sysctl;
	struct oci_resources *resources; /* NULL: none */
	const char *cgroups_path;
	struct oci_namespace *namespaces;
	size_t n_namespaces;
	struct oci_device *devices;
	size_t n_devices;
	struct oci_seccomp *seccomp;
	const char *rootfs_propagation;
	struct oci_strings masked_paths, readonly_paths;
	const char *mount_label;
	struct oci_personality *personality; /* NULL: none, and so the next two */
	struct oci_memory_policy *memory_policy;
	struct oci_intel_rdt *intel_rdt;
	struct oci_time_offset *time_offsets;
	size_t n_time_offsets;
	struct oci_net_device *net_devices;
	size_t n_net_devices;
};

struct oci_spec {
	const char *version;
	struct oci_process *process; /* NULL is allowed for create by the spec */
	const char *root_path;
	bool root_readonly;
	const char *hostname, *domainname;
	struct oci_mount *mounts;
	size_t n_mounts;
	struct oci_hooks hooks;
	struct oci_pairs annotations;
	struct oci_linux linux;
	/* What was forgiven ("field linux.cgroups is taken for linux.resources"), to be logged. */
	struct oci_strings warnings;
};

/* Parses and checks a whole document.  Unknown fields are ignored, as the spec says; those of
 * linux.resources that are not done yet fill its `unsupported`.  ERR_INVALID_ARGUMENT names the
 * field. */
int oci_spec_parse(struct arena *a, const char *text, size_t n, struct oci_spec **ret,
		   struct err *e);

/* A process object alone: what `exec --process` and the exec call of the shim carry. */
int oci_process_parse(struct arena *a, const char *text, size_t n, struct oci_process **ret,
		      struct err *e);

/* A linux.resources object alone: what `update` carries. */
int oci_resources_parse(struct arena *a, const char *text, size_t n, struct oci_resources **ret,
			struct err *e);

/* What the parsers know, for those who describe them.  A field by its path
 * ("linux.resources.rdma"): true when it is not one of the unsupported.  Hooks by number, NULL
 * behind the last. */
bool oci_spec_knows(const char *path);
const char *oci_hook_name(size_t i);

/* The same object as JSON again, for a state file; devices are left out (their filter is not
 * something an update changes). */
struct jsonw;
void oci_resources_print(const struct oci_resources *r, struct jsonw *w);

/* An update: *ret_all is old with given on top of it, field by field and entry by entry;
 * *ret_write is what has to be told to the kernel for it: given, and those of the old values that
 * the kernel takes together with a new one (memory and swap, quota and period).  old may be NULL.
 * Strings and lists are shared with the two or live in the arena. */
void oci_resources_merge(struct arena *a, const struct oci_resources *old,
			 const struct oci_resources *given, struct oci_resources *ret_all,
			 struct oci_resources *ret_write);
