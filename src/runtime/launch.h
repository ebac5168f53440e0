/* What the parent hands to the child it forks: all prepared before the fork, read-only after it.
 * Fds are close-on-exec and belong to the parent's launch; the child just ends or executes. */
#pragma once

#include "cgroup/cgroup.h"
#include "runtime/netns.h"
#include "runtime/plan.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"

/* Who sets the resource limits, and when.  A hard limit is raised only with rights in the first
 * user namespace; once the process is its user, only by who has them there, too. */
enum launch_rlimits {
	LAUNCH_RLIMITS_LATE, /* the child, as the last thing before it becomes its user */
	LAUNCH_RLIMITS_FIRST, /* the child, before it joins a user namespace */
	LAUNCH_RLIMITS_OUTSIDE, /* the parent, while a child that was born in one waits for GO */
};

/* How the new program is connected; the same for init and exec. */
struct launch_end {
	const struct plan_process *process;
	const struct seccomp_filter *seccomp;
	const struct runtime_io *io;
	int procfd; /* the host's /proc */
	int sync; /* the child's end of the stage socket */
	bool keeps_groups; /* rootless: setgroups is denied in there */
	bool is_shown; /* rootless: see rootless_show_self() */
	int host_ptmx; /* with a terminal: for containers without a devpts; else -1 */
	int fifo; /* create: exec.fifo; run and exec: -1 */
	enum launch_rlimits rlimits;
	bool keep_processors; /* the parent decides on which it runs */
};

/* When the child waits for GO, because the parent has to do something to it. */
enum launch_go {
	LAUNCH_NOW, /* not at all: it was born where it belongs */
	LAUNCH_BEFORE_HOOKS, /* cgroups, network devices: before anything else runs in there */
	LAUNCH_AT_ONCE, /* id maps, a time namespace's offsets, or a cgroup namespace, whose root is
			 * the cgroup it is in */
};

struct launch {
	struct launch_end end;
	const struct plan *plan;
	const struct oci_hooks *hooks;
	const struct runtime_state *state; /* for hooks that run in the child */
	int join_fds[OCI_NS_COUNT]; /* beside plan->joins */
	int *trees; /* beside plan->mounts: bind sources opened ahead, for a new user namespace */
	int *late; /* the same: the child's mounts that become read-only in the end; or NULL */
	int root_tree; /* the same of the rootfs */
	/* Beside plan->mounts, then the rootfs: what the child itself opens (O_PATH) before it
	 * becomes another user, where the parent could not copy mounts.  NULL: not needed. */
	int *sources;
	struct netns *net; /* the one that is being made beside us; or NULL */
	enum cgroup_layout cgroup_layout;
	struct oci_pairs cgroup_paths;
	const struct cgroup *enters; /* the child's first step; NULL: born there, or attached */
	bool in_cgroup; /* born in cgroup_dirfd() */
	bool no_pivot, no_new_keyring;
	enum launch_go go;
	struct steps *steps; /* or NULL */
	bool in_two_steps; /* new namespaces inside a joined user namespace: see init_main() */
};

/* The child, from clone3 to execve.  Never returns. */
void init_main(const struct launch *l) NORETURN;
