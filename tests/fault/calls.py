#!/usr/bin/env python3
"""calls.py HEADER: writes the wrappers' list; without an argument, prints the linker's options."""
import sys

CHANGING = """chroot chdir connect dup3 execve fchdir fchmod fchown fchownat ioctl mkdir mkdirat mkfifoat mknodat mount
    openat64 prctl renameat rmdir send sendmsg setdomainname setgroups sethostname setns setresgid setresuid setrlimit64
    setsid symlinkat umount2 unlinkat unshare""".split()
LOOKING = """access faccessat fstat64 fstatat64 fstatfs64 memfd_create poll pread64 read readlink readlinkat recvmsg
    sendfile64 sigprocmask socket socketpair stat64 statfs64 statvfs64 statx waitid""".split()
POINTERS = "fdopendir opendir realpath".split()
KNOWN = "lseek64 write open64 fcntl64 syscall".split()

if len(sys.argv) > 1:
    with open(sys.argv[1], "w") as f:
        f.writelines(f"WRAP({c}, true)\n" for c in CHANGING)
        f.writelines(f"WRAP({c}, false)\n" for c in LOOKING)
        f.writelines(f"WRAP_POINTER({c})\n" for c in POINTERS)
else:
    print("\n".join(f"-Wl,--wrap={c}" for c in CHANGING + LOOKING + POINTERS + KNOWN))
