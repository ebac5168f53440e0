/* File descriptors: close-on-exec from birth, never 0, 1 or 2.  All return -errno on failure. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* A copy of fd, close-on-exec, at 3 or above. */
int fd_copy(int fd);

int fd_set_cloexec(int fd, bool on);
int fd_set_nonblock(int fd, bool on);

/* /dev/null on 0, 1 and 2 where they are closed: the first thing every main() does. */
int fd_fill_std(void);

/* Close-on-exec for every descriptor from `first` on.  close_range(2) does it (5.11); without, a
 * look into /proc (procfd, or -1 for "/proc") or, where there is none, at every number there may
 * be.  Async-signal-safe. */
int fd_cloexec_from(unsigned first, int procfd);

/* Closes them instead, but for those in keep (ascending; -1 is none). */
int fd_close_from(unsigned first, const int *keep, size_t n_keep, int procfd);

/* Whole transfers: retried on EINTR and short counts.  read stops at end of file and returns the
 * count; write returns 0. */
ssize_t fd_read_all(int fd, void *buf, size_t n);
int fd_write_all(int fd, const void *buf, size_t n);
