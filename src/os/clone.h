/* A new process with clone3(2), and with clone(2) where the kernel has no clone3 (before 5.3), does
 * not know one of its flags yet, or a filter forbids it. */
#pragma once

#include "base/macros.h"

#include <linux/sched.h>

/* As clone3: 0 in the child, the pid in the parent, or -errno.
 * With clone(2), CLONE_CLEAR_SIGHAND is done here; CLONE_INTO_CGROUP is not done, and then is no
 * longer in args->flags: the caller moves the process.  CLONE_NEWTIME stays an error. */
int clone_process(struct clone_args *args);
