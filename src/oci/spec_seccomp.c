/* linux.seccomp: the profile as written; runtime/seccomp.c gives the names their meaning. */
#include "oci/spec_tables.h"

static const struct decode_table arg_table = {
	.size = sizeof(struct oci_seccomp_arg),
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_U32, struct oci_seccomp_arg, index, "index"),
			REQUIRED(DECODE_U64, struct oci_seccomp_arg, value, "value"),
			FIELD(DECODE_U64, struct oci_seccomp_arg, value_two, "valueTwo"),
			REQUIRED(DECODE_STRING, struct oci_seccomp_arg, op, "op"),
			{ 0 },
		},
};

static int syscall_check(struct decoder *d, void *out)
{
	struct oci_syscall *s = out;

	for (size_t i = 0; i < s->n_args; i++)
		if (s->args[i].index > 5)
			return decode_fail(d, "args", "has the index %u, must be at most 5",
					   s->args[i].index);
	return 0;
}

static const struct decode_table syscall_table = {
	.size = sizeof(struct oci_syscall),
	.check = syscall_check,
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRINGS, struct oci_syscall, names, "names"),
			REQUIRED(DECODE_STRING, struct oci_syscall, action, "action"),
			FIELD(DECODE_HAS_U64, struct oci_syscall, errno_ret, "errnoRet"),
			LIST(struct oci_syscall, args, n_args, "args", &arg_table),
			{ 0 },
		},
};

#define S struct oci_seccomp
const struct decode_table oci_seccomp_table = {
	.size = sizeof(S),
	.fields =
		(const struct decode_field[]){
			REQUIRED(DECODE_STRING, S, default_action, "defaultAction"),
			FIELD(DECODE_HAS_U64, S, default_errno_ret, "defaultErrnoRet"),
			FIELD(DECODE_STRINGS, S, architectures, "architectures"),
			FIELD(DECODE_STRINGS, S, flags, "flags"),
			LIST(S, syscalls, n_syscalls, "syscalls", &syscall_table),
			FIELD(DECODE_STRING, S, listener_path, "listenerPath"),
			FIELD(DECODE_STRING, S, listener_metadata, "listenerMetadata"),
			{ 0 },
		},
};
#undef S
