/* Route netlink, as little of it as moving a network interface takes.  Sockets belong to the
 * network namespace they were opened in.  All return -errno on failure. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One address of an interface, as the kernel gave it. */
struct netlink_address {
	uint8_t family, prefix, scope;
	uint32_t flags; /* IFA_F_… */
	bool has_local, has_address, has_broadcast; /* which of these there are */
	uint8_t local[16], address[16], broadcast[16];
};

int netlink_open(void);

/* The interface's index; -ENODEV without one. */
int netlink_index(int sock, const char *name);
int netlink_set_up(int sock, const char *name, bool up);
int netlink_is_up(int sock, const char *name); /* 1 or 0 */

/* Into another namespace under another name, in one step. */
int netlink_move(int sock, int index, int netns, const char *new_name);

/* The caller frees *ret. */
int netlink_addresses(int sock, int index, struct netlink_address **ret, size_t *ret_n);
int netlink_add_address(int sock, int index, const struct netlink_address *a);
