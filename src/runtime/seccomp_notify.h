/* The other end of SCMP_ACT_NOTIFY: the listener's fd goes to the agent at
 * linux.seccomp.listenerPath, with the "container process state" of the runtime spec
 * (config-linux.md) as JSON, in one message. */
#pragma once

#include "runtime/runtime.h"

/* pid: the process whose filter it is, in our pid namespace.  Waits until the agent accepts. */
int seccomp_notify_send(const char *path, const char *metadata, const struct runtime_state *s,
			pid_t pid, int listener, struct err *e);

/* The text alone, for tests. */
void seccomp_notify_json(const char *metadata, const struct runtime_state *s, pid_t pid,
			 struct str *out);
