/* One restore: what it holds, and the request that is made of that.  Private to criu_restore.c and
 * criu_request.c. */
#pragma once

#include "runtime/criu.h"
#include "runtime/state.h"

#include <sys/stat.h>

#define CRIU_RESTORE_LOG "restore.log"

enum { CRIU_LISTS_MAX = 64 };

struct restore {
	const struct runtime *rt;
	const struct runtime_create *create;
	const struct checkpoint *c;
	struct arena *arena;
	struct plan plan;
	struct state state;
	struct cgroup *cgroup;
	struct criu_mounts mounts;
	struct criu_start start;
	CriuCgroupRoot *cg_roots[CRIU_LISTS_MAX];
	CriuInheritFd *inherit[CRIU_LISTS_MAX];
	CriuJoinNamespace *joins[CRIU_LISTS_MAX];
	const char *root; /* where criu finds the root file system */
	int own_mounts, private_mounts, cwd; /* see enter_private_mounts() */
	int procfd, images, work, console_socket, console;
	int shown; /* the images as criu sees them, where that is another view; else -1 */
	mode_t closed_mode; /* of their folder, then */
	pid_t pid; /* of the first process, once criu told us */
	int pidfd;
	bool has_dir, is_checked, is_done;
};

/* The whole request but for the cgroups; it borrows from k.  Namespaces to join that criu takes as
 * descriptors are opened, and k's. */
int criu_request_fill(struct restore *k, CriuOpts *o, struct err *e);

/* Where the images' cgroups begin: in those of criu, which has been put into the new ones. */
int criu_request_cgroups(struct restore *k, pid_t criu, CriuOpts *o, struct err *e);
