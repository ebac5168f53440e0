/* Addresses in use, in the files of CNI's host-local: CACHE_DIR/networks/NETWORK/ADDRESS, with the
 * container and the interface in it.  Its lock is taken, too: both may serve one network.  Opening
 * waits for whoever has the lock, another thread of ours or a plugin. */
#pragma once

#include "base/str.h"
#include "net/subnet.h"

struct ipam {
	char *dir;
	int lock; /* held while this is open */
};

int ipam_open(const char *cache_dir, const char *network, struct ipam *ret, struct err *e);
void ipam_close(struct ipam *p);

/* The next free address behind the one that was given last, of the network's range i; or wanted,
 * if it is not NULL.  ERR_RESOURCE_EXHAUSTED when there is none, ERR_ALREADY_EXISTS when wanted is
 * another's. */
int ipam_reserve(const struct ipam *p, const struct subnet *s, unsigned i,
		 const struct address *gateway, const struct address *wanted, const char *container,
		 const char *ifname, struct address *ret, struct err *e);

/* Does the container have this address? */
bool ipam_has(const struct ipam *p, const struct address *a, const char *container,
	      const char *ifname);

/* All addresses that it has. */
int ipam_find(const struct ipam *p, const char *container, const char *ifname, struct address *ret,
	      size_t max, size_t *ret_n, struct err *e);
int ipam_release(const struct ipam *p, const struct address *a, struct err *e);
