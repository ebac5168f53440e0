/* A process written down in a file, to be found by others later: its pid, and its start time, which
 * tells it from a later one of the same pid. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Field 22 of PID/stat below procfd; *ret_state is field 3.  0 or -errno; -EINVAL for a text that
 * cannot be read. */
int process_start_time(int procfd, pid_t pid, uint64_t *ret_time, char *ret_state);
/* The same of the daemon's own /proc, without the state; -ESRCH: there is none. */
int process_start(pid_t pid, uint64_t *ret);

/* 0 or -errno. */
int process_record_write(int dirfd, const char *name, pid_t pid);

/* A handle of it (os/pidfd.h); -ESRCH: it has ended; -ENOENT: there is no record. */
int process_record_open(int dirfd, const char *name);
