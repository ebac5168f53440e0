/* The server as a copy of `start`: it gets ready while `start` still reads what it was given, and
 * saves the start of a program. */
#pragma once

#include "shim/args.h"

#include <sys/types.h>

struct server_fork {
	pid_t pid; /* 0: there is none, the server must be executed */
	int channel; /* -1 once it has its socket */
};

/* There is none where this program is not a protected one (runtime_protect_self()), or cannot be
 * copied.  The copy goes on in shim_serve() and does not come back. */
void server_fork(const struct shim_args *args, char **argv, const char *self,
		 struct server_fork *ret);

/* It serves on fd, which stays the caller's.  0 or -errno. */
int server_fork_send(struct server_fork *f, int fd);

/* A copy that got no socket ends, and is gone on return. */
void server_fork_end(struct server_fork *f);
