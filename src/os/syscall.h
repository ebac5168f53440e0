/* System calls that glibc 2.36 or musl 1.2.3 does not wrap.  Each returns -errno on failure.
 * Numbers are the kernel's (asm/unistd.h), structs come from linux headers. */
#pragma once

#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#ifndef STATX_BASIC_STATS
#include <linux/stat.h>
#endif

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static inline int sys_ret(long r)
{
	return r < 0 ? -errno : (int)r;
}

static inline int sys_statx(int dirfd, const char *path, int flags, unsigned mask,
			    struct statx *ret)
{
	return sys_ret(syscall(SYS_statx, dirfd, path, flags, mask, ret));
}

static inline int sys_renameat2(int from, const char *from_path, int to, const char *to_path,
				unsigned flags)
{
	return sys_ret(syscall(SYS_renameat2, from, from_path, to, to_path, flags));
}

static inline int sys_openat2(int dirfd, const char *path, const struct open_how *how)
{
	return sys_ret(syscall(SYS_openat2, dirfd, path, how, sizeof *how));
}

static inline int sys_clone3(struct clone_args *args)
{
	return sys_ret(syscall(SYS_clone3, args, sizeof *args));
}

static inline int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return sys_ret(syscall(SYS_pidfd_open, pid, flags));
}

static inline int sys_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned flags)
{
	return sys_ret(syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags));
}

static inline int sys_pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return sys_ret(syscall(SYS_pidfd_getfd, pidfd, fd, flags));
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return sys_ret(syscall(SYS_close_range, first, last, flags));
}

static inline int sys_fsopen(const char *fstype, unsigned flags)
{
	return sys_ret(syscall(SYS_fsopen, fstype, flags));
}

static inline int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return sys_ret(syscall(SYS_fsconfig, fd, cmd, key, value, aux));
}

static inline int sys_fsmount(int fd, unsigned flags, unsigned attr)
{
	return sys_ret(syscall(SYS_fsmount, fd, flags, attr));
}

static inline int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return sys_ret(syscall(SYS_open_tree, dirfd, path, flags));
}

static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path,
				 unsigned flags)
{
	return sys_ret(syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}

static inline int sys_mount_setattr(int dirfd, const char *path, unsigned flags,
				    struct mount_attr *attr)
{
	return sys_ret(syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof *attr));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return sys_ret(syscall(SYS_pivot_root, new_root, put_old));
}
