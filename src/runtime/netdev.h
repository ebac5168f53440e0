/* linux.netDevices: interfaces of the host that go into the container's network namespace, by name,
 * with their permanent addresses of global scope.  They come up there.
 *
 * When that namespace ends, hardware comes back to the host and virtual interfaces are gone: the
 * kernel's rule. */
#pragma once

#include "runtime/plan.h"

/* Names and what they need; ret->net_devices. */
int netdev_plan(const struct oci_spec *s, struct plan *ret, struct err *e);

struct netdev_moved {
	const struct oci_net_device *device;
	struct netlink_address *addresses;
	size_t n_addresses;
	int inside; /* its index in the container's namespace; 0: it has not gone there */
	bool was_up;
};

/* What was moved, and a way back as long as this lives: it holds both namespaces. */
struct netdev_moves {
	int own, there; /* our namespace, and a netlink socket in the container's */
	struct netdev_moved *v;
	size_t n;
};
#define NETDEV_MOVES_NONE ((struct netdev_moves){ .own = -1, .there = -1 })

/* By the parent, before anything of the container runs. netns: the container's.  Our own namespace
 * is another one for a moment. *ret (NETDEV_MOVES_NONE before) is filled on failure too. */
int netdev_move_all(const struct plan *p, int procfd, int netns, struct netdev_moves *ret,
		    struct err *e);

/* All back, with their addresses, as well as it goes; also when the container has ended. */
void netdev_undo(struct netdev_moves *s);
void netdev_moves_done(struct netdev_moves *s);
