/* v2 has no files for devices: a small BPF program says yes (1) or no (0) to each access. */
#include "cgroup/devices.h"
#include "cgroup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum {
	FIXED = 14, /* prologue, the fork between the types, end */
	PER_EXCEPTION = 4,
	PROGRAM_MAX = 4096, /* of Linux before 5.2, and for all without CAP_BPF */
	ATTACHED_MAX = 64,
	RWM = DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD,
	/* a device number in one word, as the kernel keeps it */
	MINOR_BITS = 20,
	MAJOR_MAX = (1 << 12) - 1,
	MINOR_MAX = (1 << MINOR_BITS) - 1,
};

/* Registers, once the prologue has run. */
enum {
	RESULT = BPF_REG_0,
	CTX = BPF_REG_1,
	TYPE = BPF_REG_2,
	ACCESS = BPF_REG_3,
	MAJOR = BPF_REG_4,
	MINOR = BPF_REG_5,
	DEVICE = BPF_REG_6
};

/* Jumps whose distance is known at the end only. */
enum { TO_EXIT = -1, TO_DEFAULT = -2 };

struct assembler {
	struct bpf_insn *v;
	size_t n;
};

static void emit(struct assembler *s, uint8_t code, unsigned dst, unsigned src, int16_t off,
		 int32_t imm)
{
	s->v[s->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm
	};
}

static void load(struct assembler *s, unsigned dst, size_t offset)
{
	emit(s, BPF_LDX | BPF_MEM | BPF_W, dst, CTX, (int16_t)offset, 0);
}

static void jump(struct assembler *s, uint8_t op, unsigned reg, uint32_t value, int off)
{
	emit(s, BPF_JMP32 | op | BPF_K, reg, 0, (int16_t)off, (int32_t)value);
}

static void prologue(struct assembler *s)
{
	load(s, TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit(s, BPF_ALU64 | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0);
	emit(s, BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
	emit(s, BPF_ALU64 | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
	load(s, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	load(s, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	emit(s, BPF_ALU64 | BPF_MOV | BPF_X, DEVICE, MAJOR, 0, 0);
	emit(s, BPF_ALU64 | BPF_LSH | BPF_K, DEVICE, 0, 0, MINOR_BITS);
	emit(s, BPF_ALU64 | BPF_OR | BPF_X, DEVICE, MINOR, 0, 0);
}

/* Which register says whether it is one of the exception's devices, and with which value.  False:
 * none alone does. */
static bool one_test(const struct device_exception *x, unsigned *ret_reg, uint32_t *ret_value)
{
	if (x->major == DEVICE_ANY || x->minor == DEVICE_ANY) {
		*ret_reg = x->major == DEVICE_ANY ? MINOR : MAJOR;
		*ret_value = (uint32_t)(x->major == DEVICE_ANY ? x->minor : x->major);
		return true;
	}
	*ret_reg = DEVICE;
	*ret_value = (uint32_t)x->major << MINOR_BITS | (uint32_t)x->minor;
	return x->major <= MAJOR_MAX && x->minor <= MINOR_MAX;
}

/* Jumps to the exit where the exception is about the access.  In a list of what is allowed, all
 * bits asked for must be in it; in a list of what is denied, one is enough: as v1 does it. */
static void exception(struct assembler *s, const struct device_exception *x, bool allow)
{
	bool all = allow && x->access == RWM;
	int rest = all ? 1 : allow ? 2 : 1;
	unsigned reg;
	uint32_t value;

	if (x->major != DEVICE_ANY || x->minor != DEVICE_ANY) {
		bool is_one = one_test(x, &reg, &value);

		if (is_one && all) {
			jump(s, BPF_JEQ, reg, value, TO_EXIT);
			return;
		}
		if (is_one) {
			jump(s, BPF_JNE, reg, value, rest);
		} else {
			jump(s, BPF_JNE, MAJOR, (uint32_t)x->major, rest + 1);
			jump(s, BPF_JNE, MINOR, (uint32_t)x->minor, rest);
		}
	}
	if (!allow) {
		jump(s, BPF_JSET, ACCESS, x->access, TO_EXIT);
		return;
	}
	if (!all)
		jump(s, BPF_JSET, ACCESS, ~x->access & RWM, 1);
	emit(s, BPF_JMP | BPF_JA, 0, 0, TO_EXIT, 0);
}

static void exceptions(struct assembler *s, const struct device_set *set, char type)
{
	for (size_t i = 0; i < set->n; i++)
		if ((set->v[i].type == 'b') == (type == 'b'))
			exception(s, &set->v[i], !set->default_allow);
}

static void set_distances(struct assembler *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].off == TO_EXIT)
			s->v[i].off = (int16_t)(s->n - 1 - i - 1);
		else if (s->v[i].off == TO_DEFAULT)
			s->v[i].off = (int16_t)(s->n - 2 - i - 1);
	}
}

/* The kernel's verifier follows both sides of each condition, at every start of a container: so one
 * condition for a device, and the type only once. */
int device_set_assemble(struct arena *a, const struct device_set *set, struct bpf_insn **ret,
			size_t *ret_n, struct err *e)
{
	struct assembler s = { 0 };

	if (set->n > (PROGRAM_MAX - FIXED) / PER_EXCEPTION)
		return err_set(e, ERR_INVALID_ARGUMENT, "too many device rules: %zu", set->n);
	s.v = arena_array(a, FIXED + set->n * PER_EXCEPTION, sizeof *s.v);
	prologue(&s);
	emit(&s, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, !set->default_allow);
	size_t fork = s.n;
	jump(&s, BPF_JNE, TYPE, BPF_DEVCG_DEV_CHAR, 0);
	exceptions(&s, set, 'c');
	emit(&s, BPF_JMP | BPF_JA, 0, 0, TO_DEFAULT, 0);
	s.v[fork].off = (int16_t)(s.n - fork - 1);
	exceptions(&s, set, 'b');
	emit(&s, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, set->default_allow);
	emit(&s, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	set_distances(&s);
	*ret = s.v;
	*ret_n = s.n;
	return 0;
}

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof *attr);

	return r < 0 ? -errno : (int)r;
}

static int load_program(const struct bpf_insn *insns, size_t n)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insns = (uintptr_t)insns,
		.insn_cnt = (uint32_t)n,
		.license = (uintptr_t) "Apache",
	};
	int r = sys_bpf(BPF_PROG_LOAD, &attr);

	if (r != -EPERM && r != -ENOMEM)
		return r;
	/* Before Linux 5.11 programs counted as locked memory. */
	struct rlimit old, all = { RLIM_INFINITY, RLIM_INFINITY };
	if (getrlimit(RLIMIT_MEMLOCK, &old) < 0 || setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		return r;
	r = sys_bpf(BPF_PROG_LOAD, &attr);
	(void)setrlimit(RLIMIT_MEMLOCK, &old); /* lowering back can't fail */
	return r;
}

static int query(int cgroupfd, uint32_t ids[ATTACHED_MAX], size_t *ret_n)
{
	union bpf_attr attr = { .query.target_fd = (uint32_t)cgroupfd,
				.query.attach_type = BPF_CGROUP_DEVICE,
				.query.prog_ids = (uintptr_t)ids,
				.query.prog_cnt = ATTACHED_MAX };
	int r = sys_bpf(BPF_PROG_QUERY, &attr);

	*ret_n = r < 0 ? 0 : attr.query.prog_cnt;
	return r;
}

static int detach(int cgroupfd, uint32_t id)
{
	union bpf_attr by_id = { .prog_id = id };
	AUTO_FD int fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &by_id);
	union bpf_attr attr = { .target_fd = (uint32_t)cgroupfd,
				.attach_bpf_fd = (uint32_t)fd,
				.attach_type = BPF_CGROUP_DEVICE };

	return fd < 0 ? fd : sys_bpf(BPF_PROG_DETACH, &attr);
}

static int attach(int cgroupfd, const struct device_set *s, const char *path, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct bpf_insn *insns;
	size_t n;

	if (device_set_assemble(a, s, &insns, &n, e) < 0)
		return -1;

	AUTO_FD int prog = load_program(insns, n);
	if (prog < 0)
		return err_sys(e, -prog, "cannot load the device filter of %s", path);
	union bpf_attr attr = { .target_fd = (uint32_t)cgroupfd,
				.attach_bpf_fd = (uint32_t)prog,
				.attach_type = BPF_CGROUP_DEVICE,
				.attach_flags = BPF_F_ALLOW_MULTI };
	int r = sys_bpf(BPF_PROG_ATTACH, &attr);
	return r < 0 ? err_sys(e, -r, "cannot attach the device filter to %s", path) : 0;
}

int device_set_attach_v2(const struct device_set *s, int dirfd, const char *path, bool is_new,
			 struct err *e)
{
	uint32_t old[ATTACHED_MAX] = { 0 };
	size_t n_old = 0;

	if (is_new && s->default_allow && !s->n)
		return 0;

	AUTO_FD int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (!is_new) {
		int r = query(fd, old, &n_old);
		if (r < 0)
			return err_sys(e, -r, "cannot list the device filters of %s", path);
	}
	if ((!s->default_allow || s->n) && attach(fd, s, path, e) < 0)
		return -1;
	/* All that are attached must agree: only now the old ones go. */
	for (size_t i = 0; i < n_old; i++) {
		int r = detach(fd, old[i]);
		if (r < 0)
			return err_sys(e, -r, "cannot detach an old device filter of %s", path);
	}
	return 0;
}
