/* A child program from any process, threaded or not, without fork's copy of the page tables.
 *
 * The child shares our memory until it has executed (CLONE_VM | CLONE_VFORK), so that what it does
 * before is async-signal-safe and small: descriptors, folder, group, signal mask.  Anything more
 * (namespaces, mounts) is for a program of our own that gets told (style: Files and processes). */
#pragma once

#include "base/macros.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct spawn {
	const char *path; /* executed as is: no PATH lookup (spawn_find) */
	char *const *argv; /* NULL-terminated */
	char *const *envp; /* NULL-terminated; NULL: an empty environment */
	int cwd_fd; /* -1 stays */
	const int *fds; /* what becomes 0, 1, 2, …; -1 is /dev/null; all others close */
	size_t n_fds; /* at least 3, at most SPAWN_MAX_FDS */
	bool new_group; /* a process group of its own */
	int parent_death_signal; /* 0: none */
};

enum { SPAWN_MAX_FDS = 16 };

/* 0 or -errno: also that of a failed execve.  *ret_pidfd is the caller's to close; wait for it
 * with spawn_wait() or poll it.  Signals are unblocked and at their defaults in the child. */
int spawn_start(const struct spawn *s, int *ret_pidfd, pid_t *ret_pid);

/* Reaps the child.  timeout_ms -1 waits for ever; -ETIMEDOUT leaves it running.  *ret_status is
 * the exit code, or 128 + the signal's number. */
int spawn_wait(int pidfd, int timeout_ms, int *ret_status);

/* The program that PATH (of our environment) finds for a name without "/"; the name itself when it
 * has one.  NULL with errno set when there is none.  The caller frees it. */
char *spawn_find(const char *name);
