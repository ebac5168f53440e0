/* A new network namespace, made beside everything else.
 *
 * It is the dearest of a container's namespaces: half a millisecond of the kernel's time, which
 * clone3() would spend while nothing else goes on.  So a helper (a second process on our memory,
 * which ends at once) makes it while the parent prepares and the child mounts; the child enters it
 * when it first matters: before a file system that belongs to a network namespace is mounted, and
 * before any hook. */
#pragma once

#include "base/err.h"

struct netns {
	int parent_end, child_end; /* of the socket that the namespace comes by; -1: none */
	int pidfd; /* the helper's */
	void *stack;
};
#define NETNS_NONE ((struct netns){ -1, -1, -1, NULL })

/* The parent's: starts the helper. */
int netns_begin(struct netns *n, struct err *e);

/* The parent's, after the child was cloned: with copies of both ends open here, neither would hear
 * of the other's death. */
void netns_handed(struct netns *n);

/* The child's: waits for the namespace and enters it; nothing to do the second time. */
int netns_enter(struct netns *n, struct err *e);

/* The parent's: reaps the helper, closes what is open. */
void netns_done(struct netns *n);
