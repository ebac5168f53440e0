/* A service manager's NOTIFY_SOCKET for a process in a container: it gets a socket of ours at
 * /run/notify/notify.sock, and its READY=1 goes on to the host's socket from us, together with
 * the pid to watch.  Nothing else that it says goes on: a container must not stop or rename a
 * unit of the host. */
#pragma once

#include "runtime/runtime.h"

struct notify {
	const char *id; /* the container's, for messages; borrowed */
	const char *host; /* borrowed from the environment; NULL: nobody wants to know */
	bool is_create; /* the socket is bound by start */
	int fd; /* ours, where the container's messages come in; -1 */
	bool is_done; /* READY was passed on */
};
#define NOTIFY_NONE ((struct notify){ .fd = -1 })
void notify_done(struct notify *n);

/* What $NOTIFY_SOCKET says. */
struct notify notify_from_env(void);

/* The mount and the variable in the spec, and the folder when the container's is made. */
int notify_prepare(struct notify *n, struct arena *a, const struct runtime *rt,
		   struct oci_spec *spec, struct runtime_create *c, struct err *e);

/* For start: binds the socket in the folder that create made. */
int notify_bind(struct notify *n, const struct runtime *rt, const char *id, struct err *e);

/* One message of the container's, if there is one. */
int notify_take(struct notify *n, pid_t main_pid, struct err *e);

/* Until the container is ready or gone, and until the manager has read what we said: then we may
 * end, and it still knows whom to watch. */
int notify_wait(struct notify *n, pid_t pid, struct err *e);
