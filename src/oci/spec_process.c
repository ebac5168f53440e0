/* process and hooks: what is run. */
#include "oci/spec_tables.h"

static const struct decode_table user_table = {
	.size = sizeof(struct oci_user),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_ID, struct oci_user, uid, "uid"),
			FIELD(DECODE_ID, struct oci_user, gid, "gid"),
			FIELD_HAS(DECODE_U32, struct oci_user, umask, has_umask, "umask"),
			IDS(struct oci_user, additional_gids, n_additional_gids, "additionalGids"),
			{ 0 },
		},
};

static const struct decode_table capabilities_table = {
	.size = sizeof(struct oci_capabilities),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRINGS, struct oci_capabilities, bounding, "bounding"),
			FIELD(DECODE_STRINGS, struct oci_capabilities, effective, "effective"),
			FIELD(DECODE_STRINGS, struct oci_capabilities, inheritable, "inheritable"),
			FIELD(DECODE_STRINGS, struct oci_capabilities, permitted, "permitted"),
			FIELD(DECODE_STRINGS, struct oci_capabilities, ambient, "ambient"),
			{ 0 },
		},
};

static const struct decode_table rlimit_table = {
	.size = sizeof(struct oci_rlimit),
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_rlimit, type, "type"),
			REQUIRED(DECODE_U64, struct oci_rlimit, soft, "soft"),
			REQUIRED(DECODE_U64, struct oci_rlimit, hard, "hard"),
			{ 0 },
		},
};

struct console_size {
	uint64_t height, width;
};

static int process_check(struct decoder *d, void *out)
{
	struct oci_process *p = out;

	if (p->cwd && *p->cwd && *p->cwd != '/')
		return err_set(d->e, ERR_INVALID_ARGUMENT, "Cwd must be an absolute path");
	if (!p->args.n)
		return err_set(d->e, ERR_INVALID_ARGUMENT, "args must not be empty");
	if (p->oom_score_adj.has && (p->oom_score_adj.v < -1000 || p->oom_score_adj.v > 1000))
		return decode_fail(d, "oomScoreAdj", "is %lld, must be -1000 to 1000",
				   (long long)p->oom_score_adj.v);
	for (size_t i = 0; i < p->n_rlimits; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(p->rlimits[i].type, p->rlimits[k].type) == 0)
				return decode_fail(d, "rlimits", "has %s twice",
						   p->rlimits[i].type);
	return 0;
}

static const struct decode_table console_size_table = {
	.size = sizeof(struct console_size),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_U64, struct console_size, height, "height"),
			FIELD(DECODE_U64, struct console_size, width, "width"),
			{ 0 },
		},
};

_Static_assert(offsetof(struct oci_process, console_width) -
			       offsetof(struct oci_process, console_height) ==
		       offsetof(struct console_size, width),
	       "consoleSize is decoded into the two members");

static const struct decode_table scheduler_table = {
	.size = sizeof(struct oci_scheduler),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_scheduler, policy, "policy"),
			FIELD(DECODE_I64, struct oci_scheduler, nice, "nice"),
			FIELD(DECODE_I64, struct oci_scheduler, priority, "priority"),
			FIELD(DECODE_STRINGS, struct oci_scheduler, flags, "flags"),
			FIELD(DECODE_U64, struct oci_scheduler, runtime, "runtime"),
			FIELD(DECODE_U64, struct oci_scheduler, deadline, "deadline"),
			FIELD(DECODE_U64, struct oci_scheduler, period, "period"),
			{ 0 },
		},
};

static const struct decode_table io_priority_table = {
	.size = sizeof(struct oci_io_priority),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_io_priority, class, "class"),
			FIELD(DECODE_I64, struct oci_io_priority, priority, "priority"),
			{ 0 },
		},
};

static const struct decode_table cpu_affinity_table = {
	.size = sizeof(struct oci_cpu_affinity),
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_STRING, struct oci_cpu_affinity, initial, "initial"),
			FIELD(DECODE_STRING, struct oci_cpu_affinity, final, "final"),
			{ 0 },
		},
};

#define P struct oci_process
const struct decode_table oci_process_table = {
	.size = sizeof(P),
	.check = process_check,
	.fields =
		(const struct decode_field[]){
			FIELD(DECODE_BOOL, P, terminal, "terminal"),
			{ .name = "consoleSize",
			  .kind = DECODE_STRUCT,
			  .at = offsetof(P, console_height),
			  .at_has = offsetof(P, has_console_size),
			  .table = &console_size_table },
			NESTED(DECODE_STRUCT, P, user, "user", &user_table),
			FIELD(DECODE_STRINGS, P, args, "args"),
			FIELD(DECODE_STRINGS, P, env, "env"),
			FIELD(DECODE_STRING, P, cwd, "cwd"),
			NESTED(DECODE_STRUCT_PTR, P, capabilities, "capabilities",
			       &capabilities_table),
			LIST(P, rlimits, n_rlimits, "rlimits", &rlimit_table),
			FIELD(DECODE_BOOL, P, no_new_privileges, "noNewPrivileges"),
			FIELD(DECODE_HAS_I64, P, oom_score_adj, "oomScoreAdj"),
			FIELD(DECODE_STRING, P, apparmor_profile, "apparmorProfile"),
			FIELD(DECODE_STRING, P, selinux_label, "selinuxLabel"),
			NESTED(DECODE_STRUCT_PTR, P, io_priority, "ioPriority", &io_priority_table),
			NESTED(DECODE_STRUCT_PTR, P, scheduler, "scheduler", &scheduler_table),
			NESTED(DECODE_STRUCT_PTR, P, exec_cpu_affinity, "execCPUAffinity",
			       &cpu_affinity_table),
			{ 0 },
		},
};
#undef P

static int hook_check(struct decoder *d, void *out)
{
	struct oci_hook *h = out;

	if (*h->path != '/')
		return decode_fail(d, "path", "is \"%s\", must be absolute", h->path);
	if (h->timeout < 0)
		return decode_fail(d, "timeout", "is negative");
	return 0;
}

static const struct decode_table hook_table = {
	.size = sizeof(struct oci_hook),
	.check = hook_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, struct oci_hook, path, "path"),
			FIELD(DECODE_STRINGS, struct oci_hook, args, "args"),
			FIELD(DECODE_STRINGS, struct oci_hook, env, "env"),
			FIELD(DECODE_I64, struct oci_hook, timeout, "timeout"),
			{ 0 },
		},
};

#define HOOKS(member, text) LIST(struct oci_hooks, member.v, member.n, text, &hook_table)
const struct decode_table oci_hooks_table = {
	.size = sizeof(struct oci_hooks),
	.fields =
		(const struct decode_field[]){
			HOOKS(prestart, "prestart"),
			HOOKS(create_runtime, "createRuntime"),
			HOOKS(create_container, "createContainer"),
			HOOKS(start_container, "startContainer"),
			HOOKS(poststart, "poststart"),
			HOOKS(poststop, "poststop"),
			{ 0 },
		},
};
