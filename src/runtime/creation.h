/* One creation on the caller's side: what it holds, its way up to the clone, and how it is undone.
 */
#pragma once

#include "runtime/birth.h"
#include "runtime/launch.h"
#include "runtime/netdev.h"
#include "runtime/netns.h"
#include "runtime/rdt.h"
#include "runtime/state.h"

/* What it holds is undone by creation_done() unless it succeeded. */
struct creation {
	const struct runtime *rt;
	const struct runtime_create *c;
	struct arena *arena;
	struct plan plan;
	struct launch launch;
	struct seccomp_filter seccomp;
	struct cgroup *cgroup;
	struct state state;
	struct birth birth;
	struct netns net;
	int pidns; /* fd of the one to join, or -1 */
	bool has_dir, is_done;
	bool is_on_host; /* no mount namespace of its own */
	uint64_t host_mount; /* then: the one that held the rootfs before */
	struct netdev_moves moves;
	int resctrl; /* fd of its root, where the spec asks for it; or -1 */
};

void creation_init(struct creation *k, const struct runtime *rt, const struct runtime_create *c);
void creation_done(struct creation *k);

/* All that comes before there is a child: plan, checks, state, cgroup, descriptors.  is_run: it
 * starts by itself, without exec.fifo. */
int creation_prepare(struct creation *k, bool is_run, struct err *e);
