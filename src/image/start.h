/* The worker's program, found and started: for the daemon, and for a client that does a transfer by
 * itself.  Knows nothing of the store. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

/* containerd-transfer in libexec, else beside the program self (a build tree).  In the arena;
 * ERR_NOT_FOUND with both places when there is none. */
int transfer_find_worker(struct arena *a, const char *libexec, const char *self, const char **ret,
			 struct err *e);

/* The worker gets its standard streams and the channel as 3, nothing else; its environment is what
 * proxies and time zones need. It dies with the thread that has started it. */
int worker_start(const char *path, int sock, int *ret_pidfd, struct err *e);
