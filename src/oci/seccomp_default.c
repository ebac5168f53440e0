/* The default seccomp profile of containerd's clients: what an ordinary program needs, and what the
 * container's capabilities would be useless without. */
#include "oci/generate.h"

#include "base/jsonw.h"

enum { PROFILE_MAX = 64 << 10, FAMILY_ALG = 38 };

static const char *const allowed[] = {
	"accept",
	"accept4",
	"access",
	"adjtimex",
	"alarm",
	"bind",
	"brk",
	"cachestat",
	"capget",
	"capset",
	"chdir",
	"chmod",
	"chown",
	"chown32",
	"clock_adjtime",
	"clock_adjtime64",
	"clock_getres",
	"clock_getres_time64",
	"clock_gettime",
	"clock_gettime64",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"close",
	"close_range",
	"connect",
	"copy_file_range",
	"creat",
	"dup",
	"dup2",
	"dup3",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_ctl_old",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"epoll_wait_old",
	"eventfd",
	"eventfd2",
	"execve",
	"execveat",
	"exit",
	"exit_group",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fadvise64_64",
	"fallocate",
	"fanotify_mark",
	"fchdir",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"fchown",
	"fchown32",
	"fchownat",
	"fcntl",
	"fcntl64",
	"fdatasync",
	"fgetxattr",
	"flistxattr",
	"flock",
	"fork",
	"fremovexattr",
	"fsetxattr",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"futex",
	"futex_requeue",
	"futex_time64",
	"futex_wait",
	"futex_waitv",
	"futex_wake",
	"futimesat",
	"get_robust_list",
	"get_thread_area",
	"getcpu",
	"getcwd",
	"getdents",
	"getdents64",
	"getegid",
	"getegid32",
	"geteuid",
	"geteuid32",
	"getgid",
	"getgid32",
	"getgroups",
	"getgroups32",
	"getitimer",
	"getpeername",
	"getpgid",
	"getpgrp",
	"getpid",
	"getppid",
	"getpriority",
	"getrandom",
	"getresgid",
	"getresgid32",
	"getresuid",
	"getresuid32",
	"getrlimit",
	"getrusage",
	"getsid",
	"getsockname",
	"getsockopt",
	"gettid",
	"gettimeofday",
	"getuid",
	"getuid32",
	"getxattr",
	"inotify_add_watch",
	"inotify_init",
	"inotify_init1",
	"inotify_rm_watch",
	"io_cancel",
	"io_destroy",
	"io_getevents",
	"io_pgetevents",
	"io_pgetevents_time64",
	"io_setup",
	"io_submit",
	"ioctl",
	"ioprio_get",
	"ioprio_set",
	"ipc",
	"kill",
	"landlock_add_rule",
	"landlock_create_ruleset",
	"landlock_restrict_self",
	"lchown",
	"lchown32",
	"lgetxattr",
	"link",
	"linkat",
	"listen",
	"listxattr",
	"llistxattr",
	"_llseek",
	"lremovexattr",
	"lseek",
	"lsetxattr",
	"lstat",
	"lstat64",
	"madvise",
	"map_shadow_stack",
	"membarrier",
	"memfd_create",
	"memfd_secret",
	"mincore",
	"mkdir",
	"mkdirat",
	"mknod",
	"mknodat",
	"mlock",
	"mlock2",
	"mlockall",
	"mmap",
	"mmap2",
	"mprotect",
	"mq_getsetattr",
	"mq_notify",
	"mq_open",
	"mq_timedreceive",
	"mq_timedreceive_time64",
	"mq_timedsend",
	"mq_timedsend_time64",
	"mq_unlink",
	"mremap",
	"mseal",
	"msgctl",
	"msgget",
	"msgrcv",
	"msgsnd",
	"msync",
	"munlock",
	"munlockall",
	"munmap",
	"nanosleep",
	"newfstatat",
	"_newselect",
	"open",
	"openat",
	"openat2",
	"pause",
	"pidfd_open",
	"pidfd_send_signal",
	"pipe",
	"pipe2",
	"pkey_alloc",
	"pkey_free",
	"pkey_mprotect",
	"poll",
	"ppoll",
	"ppoll_time64",
	"prctl",
	"pread64",
	"preadv",
	"preadv2",
	"prlimit64",
	"process_mrelease",
	"pselect6",
	"pselect6_time64",
	"ptrace",
	"pwrite64",
	"pwritev",
	"pwritev2",
	"read",
	"readahead",
	"readlink",
	"readlinkat",
	"readv",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmmsg_time64",
	"recvmsg",
	"remap_file_pages",
	"removexattr",
	"rename",
	"renameat",
	"renameat2",
	"restart_syscall",
	"rmdir",
	"rseq",
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigqueueinfo",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_getaffinity",
	"sched_getattr",
	"sched_getparam",
	"sched_getscheduler",
	"sched_rr_get_interval",
	"sched_rr_get_interval_time64",
	"sched_setaffinity",
	"sched_setattr",
	"sched_setparam",
	"sched_setscheduler",
	"sched_yield",
	"seccomp",
	"select",
	"semctl",
	"semget",
	"semop",
	"semtimedop",
	"semtimedop_time64",
	"send",
	"sendfile",
	"sendfile64",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"set_robust_list",
	"set_thread_area",
	"set_tid_address",
	"setfsgid",
	"setfsgid32",
	"setfsuid",
	"setfsuid32",
	"setgid",
	"setgid32",
	"setgroups",
	"setgroups32",
	"setitimer",
	"setpgid",
	"setpriority",
	"setregid",
	"setregid32",
	"setresgid",
	"setresgid32",
	"setresuid",
	"setresuid32",
	"setreuid",
	"setreuid32",
	"setrlimit",
	"setsid",
	"setsockopt",
	"setuid",
	"setuid32",
	"setxattr",
	"shmat",
	"shmctl",
	"shmdt",
	"shmget",
	"shutdown",
	"sigaltstack",
	"signalfd",
	"signalfd4",
	"sigprocmask",
	"sigreturn",
	"socketcall",
	"socketpair",
	"splice",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statx",
	"symlink",
	"symlinkat",
	"sync",
	"sync_file_range",
	"syncfs",
	"sysinfo",
	"tee",
	"tgkill",
	"time",
	"timer_create",
	"timer_delete",
	"timer_getoverrun",
	"timer_gettime",
	"timer_gettime64",
	"timer_settime",
	"timer_settime64",
	"timerfd_create",
	"timerfd_gettime",
	"timerfd_gettime64",
	"timerfd_settime",
	"timerfd_settime64",
	"times",
	"tkill",
	"truncate",
	"truncate64",
	"ugetrlimit",
	"umask",
	"uname",
	"unlink",
	"unlinkat",
	"utime",
	"utimensat",
	"utimensat_time64",
	"utimes",
	"vfork",
	"vmsplice",
	"wait4",
	"waitid",
	"waitpid",
	"write",
	"writev",
};

/* More for those who have the capability. */
static const struct {
	const char *capability;
	const char *names[24];
} by_capability[] = {
	{ "CAP_DAC_READ_SEARCH", { "open_by_handle_at" } },
	{ "CAP_SYS_ADMIN",
	  { "bpf",           "clone",         "clone3",      "fanotify_init",   "fsconfig",
	    "fsmount",       "fsopen",        "fspick",      "lookup_dcookie",  "mount",
	    "mount_setattr", "move_mount",    "open_tree",   "perf_event_open", "quotactl",
	    "quotactl_fd",   "setdomainname", "sethostname", "setns",           "syslog",
	    "umount",        "umount2",       "unshare" } },
	{ "CAP_SYS_BOOT", { "reboot" } },
	{ "CAP_SYS_CHROOT", { "chroot" } },
	{ "CAP_SYS_MODULE", { "delete_module", "init_module", "finit_module" } },
	{ "CAP_SYS_PACCT", { "acct" } },
	{ "CAP_SYS_PTRACE",
	  { "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev" } },
	{ "CAP_SYS_RAWIO", { "iopl", "ioperm" } },
	{ "CAP_SYS_TIME", { "settimeofday", "stime", "clock_settime", "clock_settime64" } },
	{ "CAP_SYS_TTY_CONFIG", { "vhangup" } },
	{ "CAP_SYS_NICE",
	  { "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node" } },
	{ "CAP_SYSLOG", { "syslog" } },
	{ "CAP_BPF", { "bpf" } },
	{ "CAP_PERFMON", { "perf_event_open" } },
};

static const char *const architectures[] = {
#if defined(__x86_64__)
	"SCMP_ARCH_X86_64",
	"SCMP_ARCH_X86",
	"SCMP_ARCH_X32",
#elif defined(__aarch64__)
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_ARM",
#endif
};

static const char *const by_machine[] = {
#if defined(__x86_64__)
	"arch_prctl",
	"modify_ldt",
#elif defined(__aarch64__)
	"arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2",
	"breakpoint",       "cacheflush",          "set_tls",
#endif
};

/* The personalities that change nothing that matters: Linux, 32 bits, no randomisation, ask. */
static const uint64_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };

/* clone without any new namespace: CLONE_NEW* are not set */
#define NAMESPACE_FLAGS 0x7e020000

static void put_names(struct jsonw *w, const char *const *names, size_t n, const char *action)
{
	jsonw_key(w, "names");
	jsonw_array(w);
	for (size_t i = 0; i < n && names[i]; i++)
		jsonw_string(w, names[i]);
	jsonw_end(w);
	jsonw_kstring(w, "action", action);
}

static void put_list(struct jsonw *w, const char *const *names, size_t n)
{
	if (!n)
		return;
	jsonw_object(w);
	put_names(w, names, n, "SCMP_ACT_ALLOW");
	jsonw_end(w);
}

static void put_with_arg(struct jsonw *w, const char *name, uint64_t value, const char *op)
{
	jsonw_object(w);
	put_names(w, &name, 1, "SCMP_ACT_ALLOW");
	jsonw_key(w, "args");
	jsonw_array(w);
	jsonw_object(w);
	jsonw_ku64(w, "index", 0);
	jsonw_ku64(w, "value", value);
	jsonw_kstring(w, "op", op);
	jsonw_end(w);
	jsonw_end(w);
	jsonw_end(w);
}

/* Families of sockets but AF_ALG (38), the kernel's ciphers, and AF_VSOCK (40), the hypervisor.  A
 * filter compares all 64 bits of the register and the kernel looks at 32: only "is" and "is less"
 * leave no way around, "is not" and "is greater" let 2^32 + 38 through. */
static void put_socket(struct jsonw *w)
{
	static const uint64_t above[] = { 39, 41, 42, 43, 44, 45 }; /* AF_MCTP is the last one */

	put_with_arg(w, "socket", FAMILY_ALG, "SCMP_CMP_LT");
	for (size_t i = 0; i < ARRAY_LEN(above); i++)
		put_with_arg(w, "socket", above[i], "SCMP_CMP_EQ");
}

/* clone3's flags are behind a pointer: ENOSYS makes programs fall back to clone. */
static void put_clone(struct jsonw *w)
{
	static const char *const clone3[] = { "clone3" };

	put_with_arg(w, "clone", NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ");
	jsonw_object(w);
	put_names(w, clone3, 1, "SCMP_ACT_ERRNO");
	jsonw_ku64(w, "errnoRet", 38);
	jsonw_end(w);
}

char *seccomp_default_profile(const struct strv *capabilities)
{
	struct str out AUTO_STR = STR_INIT(PROFILE_MAX);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "defaultAction", "SCMP_ACT_ERRNO");
	jsonw_key(&w, "architectures");
	jsonw_array(&w);
	for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
		jsonw_string(&w, architectures[i]);
	jsonw_end(&w);
	jsonw_key(&w, "syscalls");
	jsonw_array(&w);
	put_list(&w, allowed, ARRAY_LEN(allowed));
	put_socket(&w);
	for (size_t i = 0; i < ARRAY_LEN(personalities); i++)
		put_with_arg(&w, "personality", personalities[i], "SCMP_CMP_EQ");
	put_list(&w, by_machine, ARRAY_LEN(by_machine));
	for (size_t i = 0; i < ARRAY_LEN(by_capability); i++)
		if (strv_has(capabilities, by_capability[i].capability))
			put_list(&w, by_capability[i].names, ARRAY_LEN(by_capability[i].names));
	if (!strv_has(capabilities, "CAP_SYS_ADMIN"))
		put_clone(&w);
	jsonw_end(&w);
	jsonw_end(&w);
	return str_take(&out);
}
