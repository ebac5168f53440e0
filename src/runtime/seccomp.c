#include "runtime/seccomp.h"

#include "base/mem.h"
#include "os/fd.h"
#include "runtime/seccomp_cache.h"
#include "runtime/seccomp_stub.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { ARGS_MAX = 6, ERRNO_MAX = 4095, OPTIMIZE_FROM = 8, OPTIMIZE_TREE = 2 };

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* What an action that carries a number has ORed in. */
static const struct {
	const char *name;
	uint32_t action;
	bool has_errno;
} actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP, false },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG, false },
	{ "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY, false },
};

static const struct {
	const char *name;
	enum scmp_compare op;
} operators[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
};

static const struct {
	const char *name;
	uint32_t arch;
} architectures[] = {
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
	{ "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
	{ "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
	{ "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
	{ "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
	{ "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
	{ "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
	{ "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
	{ "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
	{ "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
	{ "SCMP_ARCH_S390", SCMP_ARCH_S390 },
	{ "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
	{ "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
	{ "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
};

/* TSYNC is for programs with threads: the child that loads has one. */
static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

static int get_action(const char *name, struct oci_u64 errno_ret, uint32_t *ret, struct err *e)
{
	uint64_t number = errno_ret.has ? errno_ret.v : EPERM;

	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (errno_ret.has && !actions[i].has_errno)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "seccomp: errnoRet is set for %s, which returns none", name);
		if (number > ERRNO_MAX)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "seccomp: errnoRet is %llu, must be at most %d",
				       (unsigned long long)number, ERRNO_MAX);
		*ret = actions[i].action | (actions[i].has_errno ? (uint32_t)number : 0);
		return 0;
	}
	return err_set(e, ERR_INVALID_ARGUMENT, "string %s is not a valid action for seccomp",
		       name);
}

static int get_condition(const struct oci_seccomp_arg *arg, struct scmp_arg_cmp *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		if (strcmp(operators[i].name, arg->op) == 0) {
			*ret = (struct scmp_arg_cmp){ .arg = arg->index,
						      .op = operators[i].op,
						      .datum_a = arg->value,
						      .datum_b = arg->value_two };
			return 0;
		}
	return err_set(e, ERR_INVALID_ARGUMENT, "string %s is not a valid operator for seccomp",
		       arg->op);
}

static int add_architectures(scmp_filter_ctx ctx, const struct oci_strings *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(architectures) &&
		       strcmp(architectures[k].name, list->v[i]) != 0)
			k++;
		if (k == ARRAY_LEN(architectures))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "string %s is not a valid arch for seccomp", list->v[i]);
		int r = seccomp_arch_add(ctx, architectures[k].arch);
		if (r < 0 && r != -EEXIST)
			return err_sys(e, -r, "cannot add architecture %s to the seccomp filter",
				       list->v[i]);
	}
	return 0;
}

static bool is_notify(const char *action)
{
	return strcmp(action, "SCMP_ACT_NOTIFY") == 0;
}

/* The child tells us its listener's number by write(2) after the filter is in force: nobody would
 * answer for that one call. */
static int check_notify(const struct oci_seccomp *s, bool *ret_has, struct err *e)
{
	*ret_has = false;
	if (is_notify(s->default_action))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "SCMP_ACT_NOTIFY cannot be used as default action");
	for (size_t i = 0; i < s->n_syscalls; i++) {
		const struct oci_syscall *c = &s->syscalls[i];

		if (!is_notify(c->action))
			continue;
		*ret_has = true;
		for (size_t k = 0; k < c->names.n; k++)
			if (strcmp(c->names.v[k], "write") == 0)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "SCMP_ACT_NOTIFY cannot be used for the write "
					       "syscall");
	}
	if (*ret_has && (!s->listener_path || !*s->listener_path))
		return err_set(e, ERR_INVALID_ARGUMENT, "seccomp listenerPath is not set");
	return 0;
}

static int get_flags(const struct oci_seccomp *s, unsigned *ret, struct err *e)
{
	bool has_listener;

	if (check_notify(s, &has_listener, e) < 0)
		return -1;
	*ret = has_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
	if (!s->flags.v) { /* none said: no slow-down for all, as runc since 1.2 */
		*ret |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
		return 0;
	}
	for (size_t i = 0; i < s->flags.n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(flags) && strcmp(flags[k].name, s->flags.v[i]) != 0)
			k++;
		if (k == ARRAY_LEN(flags))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "seccomp flags not yet supported by runc: %s",
				       s->flags.v[i]);
		*ret |= flags[k].flag;
	}
	/* it changes what a listener does, and the kernel refuses it without one */
	if (!has_listener)
		*ret &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	return 0;
}

/* Conditions on different arguments must all hold; several on one argument are alternatives, which
 * is what runc has always made of them. */
static int add_conditions(scmp_filter_ctx ctx, uint32_t action, int nr, const char *name,
			  const struct scmp_arg_cmp *c, size_t n, struct err *e)
{
	unsigned seen = 0;
	bool separate = n > ARGS_MAX;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		separate = separate || seen & 1U << c[i].arg;
		seen |= 1U << c[i].arg;
	}
	if (!separate)
		r = seccomp_rule_add_array(ctx, action, nr, (unsigned)n, c);
	for (size_t i = 0; separate && r == 0 && i < n; i++)
		r = seccomp_rule_add_array(ctx, action, nr, 1, &c[i]);
	return r < 0 ? err_sys(e, -r, "cannot add a seccomp rule for %s", name) : 0;
}

static int add_syscall(scmp_filter_ctx ctx, const struct oci_syscall *s, uint32_t default_action,
		       struct err *e)
{
	AUTO_FREE struct scmp_arg_cmp *c = xcalloc(s->n_args, sizeof *c);
	uint32_t action;

	if (get_action(s->action, s->errno_ret, &action, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n_args; i++)
		if (get_condition(&s->args[i], &c[i], e) < 0)
			return -1;
	if (action == default_action)
		return 0; /* says nothing, and libseccomp refuses it */
	for (size_t i = 0; i < s->names.n; i++) {
		int nr = seccomp_syscall_resolve_name(s->names.v[i]);

		if (nr == __NR_SCMP_ERROR)
			continue; /* newer than this library, or another system's */
		if (add_conditions(ctx, action, nr, s->names.v[i], c, s->n_args, e) < 0)
			return -1;
	}
	return 0;
}

static void release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* libseccomp 2.5 exports to a file only. */
static int export(scmp_filter_ctx ctx, const struct seccomp_stub *stub, struct seccomp_filter *ret,
		  struct err *e)
{
	AUTO_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return err_sys(e, errno, "cannot make a memory file for the seccomp filter");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_sys(e, -r, "cannot export the seccomp filter");
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "cannot read the seccomp filter");

	size_t n = (size_t)st.st_size / sizeof(struct sock_filter);
	if (n + stub->n > BPF_MAXINSNS)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the seccomp filter is too long: %zu instructions", n + stub->n);
	ret->insns = xcalloc(n + stub->n, sizeof *ret->insns);
	ret->n = (unsigned)(n + stub->n);
	memcpy(ret->insns, stub->insns, stub->n * sizeof *stub->insns);
	if (pread(fd, ret->insns + stub->n, n * sizeof *ret->insns, 0) !=
	    (ssize_t)(n * sizeof *ret->insns))
		return err_sys(e, errno, "cannot read the seccomp filter");
	return 0;
}

static bool answers_by_itself(const struct oci_seccomp *s, uint32_t default_action)
{
	return default_action == SCMP_ACT_ALLOW || default_action == SCMP_ACT_LOG ||
	       (s->default_errno_ret.has && s->default_errno_ret.v == ENOSYS);
}

static int build(const struct oci_seccomp *s, struct seccomp_filter *ret, struct err *e)
{
	CLEANUP(release) scmp_filter_ctx ctx = NULL;
	struct seccomp_stub stub = { 0 };
	uint32_t action;
	int r;

	if (get_action(s->default_action, s->default_errno_ret, &action, e) < 0)
		return -1;
	ctx = seccomp_init(action);
	if (!ctx)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "this kernel does not take the seccomp action %s",
			       s->default_action);
	if (add_architectures(ctx, &s->architectures, e) < 0)
		return -1;
	if (s->n_syscalls > OPTIMIZE_FROM) {
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_TREE);
		if (r < 0)
			return err_sys(e, -r, "cannot optimize the seccomp filter");
	}
	for (size_t i = 0; i < s->n_syscalls; i++)
		if (add_syscall(ctx, &s->syscalls[i], action, e) < 0)
			return -1;
	if (!answers_by_itself(s, action))
		for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
			if (seccomp_arch_exist(ctx, architectures[i].arch) == 0)
				seccomp_stub_add(&stub, s, architectures[i].arch);
	return export(ctx, &stub, ret, e);
}

int seccomp_compile(const struct oci_seccomp *s, const char *cache_dir, struct seccomp_filter *ret,
		    struct err *e)
{
	char key[SECCOMP_KEY + 1];
	unsigned bits;

	*ret = (struct seccomp_filter){ 0 };
	if (get_flags(s, &bits, e) < 0)
		return -1;
	seccomp_cache_key(s, key);
	if (!cache_dir || seccomp_cache_get(cache_dir, key, ret) < 0) {
		if (build(s, ret, e) < 0) {
			seccomp_filter_done(ret);
			return -1;
		}
		if (cache_dir)
			(void)seccomp_cache_put(cache_dir, key, ret); /* it only saves time */
	}
	ret->flags = bits;
	return 0;
}

bool seccomp_has_listener(const struct seccomp_filter *f)
{
	return f->insns && f->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

int seccomp_filter_load(const struct seccomp_filter *f, int *ret_listener, struct err *e)
{
	const struct sock_fprog prog = { .len = (unsigned short)f->n, .filter = f->insns };

	*ret_listener = -1;
	if (!f->insns)
		return 0;
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog);
	if (r < 0)
		return err_sys(e, errno, "error loading seccomp filter into kernel");
	if (seccomp_has_listener(f))
		*ret_listener = (int)r;
	return 0;
}

void seccomp_filter_done(struct seccomp_filter *f)
{
	free(f->insns);
	*f = (struct seccomp_filter){ 0 };
}

/* A filter that can't be read is looked at only after the flags were found good. */
static bool kernel_has_flag(unsigned flag)
{
	return !flag || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag, NULL) == 0 ||
	       errno == EFAULT;
}

const char *seccomp_name(enum seccomp_names list, size_t i)
{
	switch (list) {
	case SECCOMP_NAMES_ACTIONS:
		return i < ARRAY_LEN(actions) ? actions[i].name : NULL;
	case SECCOMP_NAMES_OPERATORS:
		return i < ARRAY_LEN(operators) ? operators[i].name : NULL;
	case SECCOMP_NAMES_ARCHS:
		return i < ARRAY_LEN(architectures) ? architectures[i].name : NULL;
	case SECCOMP_NAMES_FLAGS:
		return i < ARRAY_LEN(flags) ? flags[i].name : NULL;
	case SECCOMP_NAMES_KERNEL_FLAGS:
		if (i >= ARRAY_LEN(flags))
			return NULL;
		return kernel_has_flag(flags[i].flag) ? flags[i].name : "";
	}
	BUG("unknown list of names");
}

const char *seccomp_library_version(char *buf, size_t n)
{
	const struct scmp_version *v = seccomp_version();

	snprintf(buf, n, "%u.%u.%u", v->major, v->minor, v->micro);
	return buf;
}
