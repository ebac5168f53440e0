/* What the worker will never do again, whatever the bytes it reads make of it: start programs,
 * trace others, change mounts and namespaces, load code into the kernel; and without a registry to
 * talk to, make a socket. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* For this process and all its threads to come, for good: such calls fail with EPERM.  A kernel
 * without seccomp is no failure. */
int syscalls_give_up(bool with_network, struct err *e);
