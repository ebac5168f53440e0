/* Whole files: read with a bound, replaced atomically.  All return -errno on failure.
 * Paths are relative to dirfd (AT_FDCWD allowed) and are the host's own: nothing here is for
 * paths inside a container's rootfs, which are os/path.h's. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* The file's bytes, terminated by an extra NUL.  -EFBIG when it holds more than max.
 * The caller frees *ret.  ret_len may be NULL. */
int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);
/* The same of what is open, from where it stands to its end; a pipe, too. */
int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len);

/* Write a temporary file beside it, (fsync when durable), rename over path, (fsync the folder).
 * A reader sees the old bytes or the new ones, whole. */
int file_replace(int dirfd, const char *path, const void *bytes, size_t n, unsigned mode,
		 bool durable);

/* One write to an existing file (procfs, sysfs, cgroupfs): never created, never truncated. */
int file_poke(int dirfd, const char *path, const char *text);

/* mkdir -p; folders that exist stay as they are. */
int file_mkdirs(const char *path, unsigned mode);

/* The same below dirfd, where somebody else may write: a link on the way is -ENOTDIR, ".." is
 * -EINVAL. mode 0: all of it must be there.  The folder's descriptor. */
int file_mkdirs_below(int dirfd, const char *path, unsigned mode);

/* rm -rf that never follows a symlink and never crosses into another mount; what is absent is
 * fine.  -EBUSY when something is mounted inside. */
int file_remove_tree(int dirfd, const char *path);

int file_fsync_dir(int dirfd, const char *path);

/* Opens or makes (0600) a file and locks it for this process alone; -EAGAIN: another one has it.
 * The lock dies with the process at once, even if a child that it was making has not come to its
 * execve (flock() would live on in the child's descriptor).  The process must open the file only
 * once. */
int file_lock(const char *path, int *ret_fd);

/* realpath(3) for the caller to free; NULL and errno.  Also where the working directory is one of
 * another mount namespace, whose path leads to the same folder in ours. */
char *file_real_path(const char *path);
