/* v2 has no files for devices: a small BPF program says yes (1) or no (0) to each access. */
#include "cgroup/devices.h"
#include "cgroup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum {
	PROLOGUE = 6,
	PER_EXCEPTION = 7,
	PROGRAM_MAX = 4096, /* of Linux before 5.2, and for all without CAP_BPF */
	ATTACHED_MAX = 64,
	RWM = DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD,
};

/* Registers, once the prologue has run. */
enum {
	CTX = BPF_REG_1,
	TYPE = BPF_REG_2,
	ACCESS = BPF_REG_3,
	MAJOR = BPF_REG_4,
	MINOR = BPF_REG_5
};

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

static void set_result(struct assembler *s, bool allow)
{
	emit(s, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	emit(s, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Jump to `end` (an index) unless the register is the value. */
static void unless_equal(struct assembler *s, unsigned reg, uint32_t value, size_t end)
{
	emit(s, BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, (int16_t)(end - s->n - 1), (int32_t)value);
}

/* In a list of what is allowed, all bits asked for must be in the exception; in a list of what is
 * denied, one is enough: as v1 does it. */
static void exception(struct assembler *s, const struct device_exception *x, bool allow)
{
	size_t end = s->n + 1 + (x->major != DEVICE_ANY) + (x->minor != DEVICE_ANY) +
		     (allow ? 1 : 2) + 2;

	unless_equal(s, TYPE, x->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, end);
	if (x->major != DEVICE_ANY)
		unless_equal(s, MAJOR, (uint32_t)x->major, end);
	if (x->minor != DEVICE_ANY)
		unless_equal(s, MINOR, (uint32_t)x->minor, end);
	if (allow) {
		emit(s, BPF_JMP | BPF_JSET | BPF_K, ACCESS, 0, 2, (int32_t)(~x->access & RWM));
	} else {
		emit(s, BPF_JMP | BPF_JSET | BPF_K, ACCESS, 0, 1, (int32_t)x->access);
		emit(s, BPF_JMP | BPF_JA, 0, 0, 2, 0);
	}
	set_result(s, allow);
}

int device_set_assemble(struct arena *a, const struct device_set *set, struct bpf_insn **ret,
			size_t *ret_n, struct err *e)
{
	struct assembler s = { 0 };

	if (set->n > (PROGRAM_MAX - PROLOGUE - 2) / PER_EXCEPTION)
		return err_set(e, ERR_INVALID_ARGUMENT, "too many device rules: %zu", set->n);
	s.v = arena_array(a, PROLOGUE + set->n * PER_EXCEPTION + 2, sizeof *s.v);
	load(&s, TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit(&s, BPF_ALU64 | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0);
	emit(&s, BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
	emit(&s, BPF_ALU64 | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
	load(&s, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	load(&s, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	for (size_t i = 0; i < set->n; i++)
		exception(&s, &set->v[i], !set->default_allow);
	set_result(&s, set->default_allow);
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
