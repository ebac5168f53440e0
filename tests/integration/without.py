#!/usr/bin/env python3
"""without.py ERRNO CALL[,CALL…] COMMAND [ARG…]: COMMAND under a seccomp filter that answers the calls with
ERRNO: an old kernel (ENOSYS), or the filter of an outer container (EPERM).  "all" names them all."""
import ctypes
import errno
import os
import platform
import struct
import sys

# From 424 on a call has one number on all machines.
CALLS = {
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "mount_setattr": 442,
    "execveat": {"x86_64": 322, "aarch64": 281}.get(platform.machine()),
}
GROUPS = {"mount": ["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr"],
          "pidfd": ["pidfd_open", "pidfd_send_signal"], "all": list(CALLS)}

LD_W_ABS, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, MODE_FILTER = 22, 2


def instruction(code, jt, jf, k):
    return struct.pack("=HBBI", code, jt, jf, k)


def program(numbers, error):
    code = [instruction(LD_W_ABS, 0, 0, 0)]
    for i, n in enumerate(numbers):
        code.append(instruction(JEQ, len(numbers) - i, 0, n))
    return code + [instruction(RET, 0, 0, ALLOW), instruction(RET, 0, 0, ERRNO | error)]


def install(names, error):
    """For this process and all its children; needs CAP_SYS_ADMIN, so that no_new_privs stays as it is."""
    numbers = [CALLS[c] for n in names for c in GROUPS.get(n, [n])]
    code = b"".join(program(numbers, error))
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.create_string_buffer(fprog, len(fprog)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


if __name__ == "__main__":
    install(sys.argv[2].split(","), getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[3], sys.argv[3:])
