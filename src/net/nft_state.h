/* Is our table of nf_tables as we left it, and who says when it is not.
 *
 * Whoever reloads a firewall (`nft flush ruleset`) takes our rules with it, and so the ports of
 * containers that run.  The kernel tells of every change; net/nft.h makes it good again. */
#pragma once

#include "net/nft.h"

/* Are the rules there, all of them, and what this container has in the sets? */
bool nft_is_whole(const struct nft_change *c);

/* Has a chain for what comes in (INPUT) the policy to drop it?  (Not those of iptables-legacy.) */
bool nft_host_is_closed(void);

/* A socket on which the kernel tells of changes, for a loop; -errno. */
int nft_watch_open(void);

struct nft_watch {
	bool is_touched; /* by the transaction that is being told of */
	char self[16]; /* our threads' name: what we change ourselves is no news */
};
void nft_watch_init(struct nft_watch *w);

/* What somebody else has done: to other tables, or taken something from ours. */
enum nft_news { NFT_NOTHING, NFT_OTHERS, NFT_TAKEN };

/* Reads what there is. */
enum nft_news nft_watch_read(struct nft_watch *w, int fd);

/* One datagram; pure, for nft_watch_read() and its test. */
enum nft_news nft_watch_take(struct nft_watch *w, const void *data, size_t n);
