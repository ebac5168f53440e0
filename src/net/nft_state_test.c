#include "net/nft_state.h"

#include "base/test.h"
#include "net/nft_expr.h"
#include "os/nlmsg.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

/* A transaction as the kernel tells of it: what was done to a table, and by whom at the end. */
static void told(struct nlmsg *m, uint16_t kind, const char *table, const char *who)
{
	nft_begin(m, kind, 0, NFPROTO_INET);
	nlmsg_text(m, 1, table); /* the table's name, in messages of each kind */
	if (!who)
		return;
	nft_begin(m, NFT_MSG_NEWGEN, 0, NFPROTO_UNSPEC);
	nlmsg_be32(m, NFTA_GEN_ID, 7);
	nlmsg_text(m, NFTA_GEN_PROC_NAME, who);
}

static enum nft_news take(struct nft_watch *w, const struct nlmsg *m)
{
	return nft_watch_take(w, m->bytes.ptr, m->bytes.len);
}

TEST(what_is_news)
{
	static const struct {
		uint16_t kind;
		const char *table, *who;
		enum nft_news want;
	} rows[] = {
		{ NFT_MSG_DELRULE, NFT_TABLE, "nft", NFT_TAKEN },
		{ NFT_MSG_DELTABLE, NFT_TABLE, "nft", NFT_TAKEN },
		{ NFT_MSG_DELCHAIN, NFT_TABLE, "nft", NFT_TAKEN },
		{ NFT_MSG_DELSET, NFT_TABLE, "nft", NFT_TAKEN },
		{ NFT_MSG_DELSETELEM, NFT_TABLE, "nft", NFT_TAKEN },
		{ NFT_MSG_NEWRULE, NFT_TABLE, "nft", NFT_OTHERS },
		{ NFT_MSG_DELRULE, "filter", "nft", NFT_OTHERS },
		{ NFT_MSG_DELRULE, NFT_TABLE "2", "nft", NFT_OTHERS },
		{ NFT_MSG_DELRULE, NFT_TABLE, "us", NFT_NOTHING },
		{ NFT_MSG_DELRULE, NFT_TABLE, NULL, NFT_NOTHING }, /* not yet */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
		struct nft_watch w = { .self = "us" };

		told(&m, rows[i].kind, rows[i].table, rows[i].who);
		if (take(&w, &m) != rows[i].want)
			FAIL_("row %zu", i);
	}
}

TEST(a_transaction_may_come_in_pieces)
{
	AUTO_NLMSG struct nlmsg first = NLMSG_INIT, second = NLMSG_INIT, ours = NLMSG_INIT;
	struct nft_watch w = { .self = "us" };

	told(&first, NFT_MSG_DELRULE, NFT_TABLE, NULL);
	told(&second, NFT_MSG_NEWRULE, "filter", "nft");
	CHECK(take(&w, &first) == NFT_NOTHING);
	CHECK(take(&w, &second) == NFT_TAKEN);
	CHECK(take(&w, &second) == NFT_OTHERS); /* what was told is over */
	/* two transactions in one datagram, of which the later one says less */
	told(&first, NFT_MSG_NEWRULE, NFT_TABLE, "nft");
	told(&first, NFT_MSG_NEWRULE, "filter", "nft");
	CHECK(take(&w, &first) == NFT_TAKEN);
	/* what we took away ourselves is not somebody else's later */
	told(&ours, NFT_MSG_DELTABLE, NFT_TABLE, "us");
	CHECK(take(&w, &ours) == NFT_NOTHING);
	CHECK(take(&w, &second) == NFT_OTHERS);
}

/* The kernel sends none such; a message that lies about its length ends the look. */
TEST(pieces_of_messages)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	struct nft_watch w = { .self = "us" };
	_Alignas(struct nlmsghdr) char copy[512];

	told(&m, NFT_MSG_DELRULE, NFT_TABLE, "nft");
	CHECK(m.bytes.len <= sizeof copy);
	for (size_t n = 0; n < m.bytes.len; n++) {
		memcpy(copy, m.bytes.ptr, n);
		CHECK(nft_watch_take(&w, copy, n) == NFT_NOTHING);
		w.is_touched = false;
	}
	memcpy(copy, m.bytes.ptr, m.bytes.len);
	((struct nlmsghdr *)copy)->nlmsg_len = 4;
	CHECK(nft_watch_take(&w, copy, m.bytes.len) == NFT_NOTHING);
	((struct nlmsghdr *)copy)->nlmsg_len = UINT32_MAX;
	CHECK(nft_watch_take(&w, copy, m.bytes.len) == NFT_NOTHING);
}
