/* Interfaces of the built-in network: a bridge of the host's, and a cable from it into a container.
 *
 * The sockets are the caller's thread's own.  link_open() takes that thread into the container's
 * network namespace and back, so that it must have the right to (CAP_SYS_ADMIN); nothing else
 * leaves the host's.  Errors are the kernel's, with the name of what could not be done. */
#pragma once

#include "net/subnet.h"

#include <net/if.h>

/* A route socket of ours, and one of the container's network namespace. */
struct link_sockets {
	int host, inside; /* -1: not open */
	int netns; /* of the container, -1: it is gone */
};
int link_open(const char *netns, struct link_sockets *ret, struct err *e); /* "" : host alone */
void link_close(struct link_sockets *s);

struct link_address {
	struct address address;
	unsigned prefix;
};

/* The bridge exists, is up, and has these addresses; what is there already stays. */
int link_bridge(const struct link_sockets *s, const char *name, unsigned mtu,
		const struct link_address *v, size_t n, struct err *e);

struct cable {
	const char *bridge, *outside, *inside; /* names of interfaces */
	const uint8_t *mac; /* of inside, or NULL */
	unsigned mtu; /* 0: the kernel's */
	bool has_v6; /* else the container's end gets no IPv6 address at all */
	const struct link_address *addresses;
	const struct address *gateways; /* of each address: a default route each */
	size_t n;
};
int link_cable(const struct link_sockets *s, const struct cable *c, struct err *e);

/* One that is not there is fine. */
int link_remove(const struct link_sockets *s, const char *outside, struct err *e);
bool link_exists(int sock, const char *name);

/* "aa:bb:cc:dd:ee:ff"; "" when it cannot be had. */
void link_mac(int sock, const char *name, char ret[18]);

/* Is a route of the host's main table, but for those of the interface bridge, inside of s? */
int link_is_taken(const struct link_sockets *s, const struct subnet *net, const char *bridge,
		  bool *ret, struct err *e);

/* Writes to /proc/sys/net of our namespace; what is not there is not needed. */
void link_sysctl(const char *value, const char *fmt, ...) PRINTF(2, 3);
