/* Copies of the host's mounts that the parent makes ahead of the fork, as root: what a user
 * namespace could not reach by path, and what is to have other owners, which it has no right to
 * change. */
#pragma once

#include "runtime/launch.h"

/* Fills l->root_tree and l->trees, whose fds the caller closes; opens nothing where the child can
 * do it all. */
int trees_open(struct launch *l, struct arena *a, struct err *e);

/* What the child copied out of the rootfs gets the owners of the next such mount; they come in the
 * plan's order.  *next: 0 at first. */
int trees_set_owners(struct launch *l, int tree, size_t *next, struct err *e);
