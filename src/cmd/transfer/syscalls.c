#include "cmd/transfer/syscalls.h"

#include "base/macros.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "which processor is this for seccomp?"
#endif

/* Higher numbers of x86_64 are those of x32: the same calls once more. */
enum { X32 = 0x40000000 };

static const int never[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_mount_setattr,
	SYS_setns,
	SYS_unshare,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_open_by_handle_at,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_swapon,
	SYS_swapoff,
	SYS_reboot,
	SYS_chroot,
	SYS_acct,
	SYS_quotactl,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_sethostname,
	SYS_io_uring_setup,
	SYS_pidfd_getfd,
};
static const int offline[] = { SYS_socket, SYS_connect, SYS_bind, SYS_listen };

enum { HEAD = 6, TAIL = 2, MAX = HEAD + TAIL + ARRAY_LEN(never) + ARRAY_LEN(offline) };

/* Each line jumps to the last, which forbids, or falls to the next. */
static void add(struct sock_filter *f, size_t *n, size_t all, int nr)
{
	size_t to_end = all - 1 - *n - 1;

	f[(*n)++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr,
						 (unsigned char)to_end, 0);
}

int syscalls_give_up(bool with_network, struct err *e)
{
	size_t n = 0, count = ARRAY_LEN(never) + (with_network ? 0 : ARRAY_LEN(offline));
	size_t all = HEAD + TAIL + count;
	struct sock_filter f[MAX];

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		add(f, &n, all, never[i]);
	for (size_t i = 0; i < ARRAY_LEN(offline) && !with_network; i++)
		add(f, &n, all, offline[i]);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);

	const struct sock_fprog prog = { (unsigned short)n, f };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0 && errno != EINVAL)
		return err_sys(e, errno, "give up system calls");
	return 0;
}
