/* What is different for a caller who is not root: mounts wait for the user namespace, ids come from
 * /etc/subuid by newuidmap, and groups stay as they are. */
#pragma once

#include "runtime/plan.h"

/* CAP_SYS_ADMIN where we are: mounts may be copied, namespaces joined without the user's first. */
bool rootless_is_privileged(void);

/* ERR_INVALID_ARGUMENT in runc's words: an unprivileged caller needs a new user namespace. */
int rootless_check(const struct plan *p, struct err *e);

/* A map of nothing but our own group is allowed to everybody, for the price of setgroups(2). */
bool rootless_denies_groups(const struct plan *p);

/* A process that hides from its own user (dumpable) hides its files in /proc, too: an unprivileged
 * caller shows himself and so the child from before the clone until its maps are written. */
void rootless_show_child(const struct plan *p, bool show);

/* A container's first process has its files in /proc for exec and its descriptors for
 * pidfd_getfd(2) only while it is dumpable, where root's rights do not help.  It is once it has
 * nothing more of ours: the environment of who called runc is wiped, the other descriptors are
 * closed. */
void rootless_show_self(void);

/* The maps of a child's new user namespace: written, or by newuidmap and newgidmap. */
int rootless_write_maps(int procfd, pid_t pid, const struct plan *p, struct err *e);

/* The same of the user namespace that is joined, where its path says whose it is. */
bool rootless_join_denies_groups(const char *path, int procfd);

/* Whether setgroups(2) is denied in a process's user namespace. */
bool rootless_has_no_groups(int procfd, pid_t pid);
