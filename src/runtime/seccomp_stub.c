#include "runtime/seccomp_stub.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>

enum { X32_BIT = 0x40000000, BLOCK = 6 };

static int largest(const struct oci_seccomp *s, uint32_t arch)
{
	int max = -1;

	for (size_t i = 0; i < s->n_syscalls; i++)
		for (size_t k = 0; k < s->syscalls[i].names.n; k++) {
			int nr = seccomp_syscall_resolve_name_arch(arch, s->syscalls[i].names.v[k]);

			if (nr > max) /* negative: not on this architecture */
				max = nr;
		}
	return max;
}

static void add(struct seccomp_stub *stub, struct sock_filter insn)
{
	stub->insns[stub->n++] = insn;
}

#define STMT(code, k) ((struct sock_filter)BPF_STMT((code), (k)))
#define JUMP(code, k, jt, jf) ((struct sock_filter)BPF_JUMP((code), (k), (jt), (jf)))

void seccomp_stub_add(struct seccomp_stub *stub, const struct oci_seccomp *s, uint32_t arch)
{
	bool is_x32 = arch == SCMP_ARCH_X32, is_x86_64 = arch == SCMP_ARCH_X86_64;
	uint32_t audit = is_x32 ? AUDIT_ARCH_X86_64 : arch; /* the tokens are the kernel's */
	int max = largest(s, arch);

	if (max < 0 || stub->n + BLOCK > SECCOMP_STUB_MAX)
		return;
	add(stub, STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	add(stub, JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit, 0, is_x32 || is_x86_64 ? 4 : 3));
	add(stub, STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	/* Two architectures share one number, and a bit tells them apart. */
	if (is_x86_64)
		add(stub, JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 2, 0));
	if (is_x32)
		add(stub, JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 2));
	add(stub, JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)max, 0, 1));
	add(stub, STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
}
