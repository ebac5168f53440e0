/* Rules of nf_tables as netlink has them: a rule is a list of small steps on registers.  They are
 * only written here, into a packet of the caller's; net/nft.c sends it. */
#pragma once

#include "net/nft.h"
#include "os/nlmsg.h"

#include <stdint.h>

#define NFT_TABLE "casco"

/* Registers of four bytes, numbered from 0; an IPv6 address takes four of them. */
struct nft_rule {
	struct nlmsg *m;
	size_t expressions;
};

/* net/nft_table.c: the table with all of its chains, sets and rules. */
void nft_put_table(struct nlmsg *m, bool is_screened);

/* net/nft.c: whether the kernel has this. */
bool nft_has_bridge(int sock, const char *bridge);
bool nft_has_masqueraded(int sock, const struct address *a);
bool nft_has_port(int sock, const struct nft_port *port); /* and it leads to this container */

void nft_begin(struct nlmsg *m, uint16_t type, uint16_t flags, uint8_t family);
void nft_rule_begin(struct nft_rule *r, struct nlmsg *m, const char *chain);
void nft_rule_end(struct nft_rule *r);

void nft_meta(struct nft_rule *r, uint32_t key, uint32_t reg);
void nft_ct(struct nft_rule *r, uint32_t key, uint32_t reg);
void nft_payload(struct nft_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
void nft_cmp(struct nft_rule *r, uint32_t reg, bool equal, const void *data, size_t n);
void nft_mask(struct nft_rule *r, uint32_t reg, const void *mask, size_t n);
/* Goes on if the set has it (or, inverted, has it not).  to < 0: a set, else a map into that
 * register. */
void nft_lookup(struct nft_rule *r, const char *set, uint32_t reg, int to, bool is_inverted);
/* Into a set, for so long; one that is there already stays for so long again. */
void nft_note(struct nft_rule *r, const char *set, uint32_t reg, uint64_t ms);
void nft_local_destination(struct nft_rule *r, uint32_t reg); /* goes on for the host's addresses */
void nft_verdict(struct nft_rule *r, int code, const char *chain); /* chain: of a jump, or NULL */
void nft_dnat(struct nft_rule *r, uint32_t family, uint32_t address, uint32_t port); /* registers */
void nft_masquerade(struct nft_rule *r);
