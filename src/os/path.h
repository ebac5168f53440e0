/* Paths inside a container's rootfs, always relative to an fd of its root, never leaving it.
 *
 * Symlinks, absolute ones too, are resolved as if root were "/"; ".." stops there; magic links
 * (/proc/PID/fd, /proc/PID/root …) are refused.  openat2(2) does it (Linux 5.6); where it is
 * missing (ENOSYS) or forbidden (EPERM, as old seccomp profiles answer), a walk by single
 * components does.  All return -errno on failure; fds are close-on-exec. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

/* open(2) in the root.  flags as openat(2); O_CREAT needs mode. */
int path_open(int rootfd, const char *path, int flags, mode_t mode);

/* The folder, with what is missing of the way made 0755 (or mode), by fd, component by component.
 * Dangling symlinks on the way are followed inside the root and made there. */
int path_mkdirs(int rootfd, const char *path, mode_t mode);

/* The file (O_PATH), made empty where there is none, with what is missing of the way as above;
 * something else that is there is opened as it is. */
int path_mkfile(int rootfd, const char *path, mode_t mode);

/* The parent folder (O_PATH) of the last component; *ret_name points into path.  A path that is
 * "/" or ends in "." or ".." is -EINVAL.  make: create the parent as path_mkdirs would. */
int path_open_parent(int rootfd, const char *path, bool make, const char **ret_name);

/* For tests: pretend openat2 answers with this errno (0 = ask the kernel). */
void path_force_openat2_errno(int errnum);
