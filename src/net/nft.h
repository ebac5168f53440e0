/* The built-in network's own table of nf_tables, `inet casco`: nobody else's rules are touched.
 *
 * The rules are the same for all containers and look into sets: bridges, addresses to masquerade,
 * published ports.  Every change is one transaction, which writes the rules anew: so they are there
 * again after somebody has flushed them.  Any thread; the kernel orders the transactions. */
#pragma once

#include "net/subnet.h"

/* One published port.  host.family 0: every address of the host. */
struct nft_port {
	uint8_t protocol; /* IPPROTO_TCP … */
	struct address host;
	uint16_t host_port;
	struct address container;
	uint16_t container_port;
};

struct nft_change {
	const char *bridge;
	const struct address *masqueraded; /* the container's addresses */
	size_t n_masqueraded;
	const struct nft_port *ports;
	size_t n_ports;
	bool is_screened; /* the host's rules for what comes in decide about ports (all of them) */
};

/* ERR_ALREADY_EXISTS for a port that another container has published; then nothing is changed. */
int nft_add(const struct nft_change *c, struct err *e);

/* Of a screened table: the host's rules have changed, everybody is to ask again. */
int nft_forget_askers(struct err *e);

/* What is not there (any more) is fine, and a port that leads to another container stays.  The
 * bridge stays known. */
int nft_remove(const struct nft_change *c, struct err *e);
