/* Handles of processes, and what stands in for them where pidfd_open or pidfd_send_signal is
 * forbidden by a filter (kernels from 5.4 have both): then the handle is the process's folder in
 * procfs, which belongs to that one process as a pidfd does, but can't be polled.
 * All return -errno on failure. */
#pragma once

#include "base/macros.h"

#include <sys/types.h>

/* procfd: a checked /proc.  -ESRCH: no such process. */
int pidfd_of(int procfd, pid_t pid);

/* pidfd_send_signal(2), for both kinds of handle.  Where it is forbidden, by kill(2) after a look
 * that the process still lives. */
int pidfd_signal(int fd, int sig);

/* 0 when the process has ended (a zombie has), -ETIMEDOUT.  timeout_ms 0 only looks. */
int pidfd_wait_end(int fd, int timeout_ms);
