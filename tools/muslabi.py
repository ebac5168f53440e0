#!/usr/bin/env python3
"""Fail where a static library of Debian's, compiled for glibc, wants something of libc that nobody has
looked at: runc, the shim and ctr link it with musl.

The linker finds names that musl lacks; it can't see that two libcs mean different things by one name.
So every name is here, with why both mean the same."""
import subprocess
import sys

ARCHIVES = ("json-c", "seccomp", "protobuf-c", "md", "nghttp2", "yaml", "z")
LOOKED_AT = {
    "standard C, scalars and bytes only":
        "abort calloc free getenv malloc memchr memcmp memcpy memmove memset qsort realloc strchr strcmp strdup strerror strlen "
        "strncasecmp strncmp strrchr strstr strtod strtol strtoll strtoull time",
    "FILE is opaque, and only passed on": "fclose fdopen ferror fflush fread fwrite stderr stdout",
    "a system call, its flags and structs the kernel's":
        "clock_gettime close dup fstat getrandom ioctl lseek lseek64 open prctl read stat syscall write",
    "locale_t is opaque; ours in any case (src/libc/locale.c)": "duplocale freelocale newlocale uselocale",
    "the ABI of compilers, which musl has under these names":
        "_GLOBAL_OFFSET_TABLE_ __assert_fail __errno_location __stack_chk_fail __tls_get_addr",
    "src/libc/fortify.c":
        "__fprintf_chk __snprintf_chk __strcat_chk __vasprintf_chk __vfprintf_chk __vsnprintf_chk __vsyslog_chk",
    "of functions that we do not call: hashing a file (libmd), writing YAML, gzprintf()": "__read_chk __sprintf_chk snprintf",
}


def names(archive, option):
    out = subprocess.run(["nm", "-P", option, archive], check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in out.splitlines() if len(line.split()) > 1}


def main():
    known = {name for group in LOOKED_AT.values() for name in group.split()}
    bad = 0
    for lib in ARCHIVES:
        archive = subprocess.run(["gcc", f"-print-file-name=lib{lib}.a"], check=True, capture_output=True, text=True).stdout.strip()
        if "/" not in archive:
            print(f"lib{lib}.a is not installed")
            bad = 1
            continue
        for name in sorted(names(archive, "-u") - names(archive, "--defined-only") - known):
            print(f"{archive} wants {name}: does musl's do the same?")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
