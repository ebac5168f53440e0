#include "net/nft_expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

void nft_begin(struct nlmsg *m, uint16_t type, uint16_t flags, uint8_t family)
{
	const struct nfgenmsg f = { .nfgen_family = family, .version = NFNETLINK_V0 };

	nlmsg_begin(m, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &f, sizeof f);
}

void nft_rule_begin(struct nft_rule *r, struct nlmsg *m, const char *chain)
{
	nft_begin(m, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET);
	nlmsg_text(m, NFTA_RULE_TABLE, NFT_TABLE);
	nlmsg_text(m, NFTA_RULE_CHAIN, chain);
	*r = (struct nft_rule){ m, nlmsg_nest(m, NFTA_RULE_EXPRESSIONS) };
}

void nft_rule_end(struct nft_rule *r)
{
	nlmsg_end_nest(r->m, r->expressions);
}

struct expression {
	size_t item, data;
};

static struct expression begin(struct nft_rule *r, const char *name)
{
	struct expression x;

	x.item = nlmsg_nest(r->m, NFTA_LIST_ELEM);
	nlmsg_text(r->m, NFTA_EXPR_NAME, name);
	x.data = nlmsg_nest(r->m, NFTA_EXPR_DATA);
	return x;
}

static void end(struct nft_rule *r, struct expression x)
{
	nlmsg_end_nest(r->m, x.data);
	nlmsg_end_nest(r->m, x.item);
}

static void put_register(struct nft_rule *r, uint16_t type, uint32_t reg)
{
	nlmsg_be32(r->m, type, NFT_REG32_00 + reg);
}

static void put_value(struct nft_rule *r, uint16_t type, const void *data, size_t n)
{
	size_t nest = nlmsg_nest(r->m, type);

	nlmsg_put(r->m, NFTA_DATA_VALUE, data, n);
	nlmsg_end_nest(r->m, nest);
}

void nft_meta(struct nft_rule *r, uint32_t key, uint32_t reg)
{
	struct expression x = begin(r, "meta");

	nlmsg_be32(r->m, NFTA_META_KEY, key);
	put_register(r, NFTA_META_DREG, reg);
	end(r, x);
}

void nft_ct(struct nft_rule *r, uint32_t key, uint32_t reg)
{
	struct expression x = begin(r, "ct");

	nlmsg_be32(r->m, NFTA_CT_KEY, key);
	put_register(r, NFTA_CT_DREG, reg);
	end(r, x);
}

void nft_payload(struct nft_rule *r, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct expression x = begin(r, "payload");

	put_register(r, NFTA_PAYLOAD_DREG, reg);
	nlmsg_be32(r->m, NFTA_PAYLOAD_BASE, base);
	nlmsg_be32(r->m, NFTA_PAYLOAD_OFFSET, offset);
	nlmsg_be32(r->m, NFTA_PAYLOAD_LEN, len);
	end(r, x);
}

void nft_cmp(struct nft_rule *r, uint32_t reg, bool equal, const void *data, size_t n)
{
	struct expression x = begin(r, "cmp");

	put_register(r, NFTA_CMP_SREG, reg);
	nlmsg_be32(r->m, NFTA_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
	put_value(r, NFTA_CMP_DATA, data, n);
	end(r, x);
}

void nft_mask(struct nft_rule *r, uint32_t reg, const void *mask, size_t n)
{
	static const uint8_t zeros[16];
	struct expression x = begin(r, "bitwise");

	put_register(r, NFTA_BITWISE_SREG, reg);
	put_register(r, NFTA_BITWISE_DREG, reg);
	nlmsg_be32(r->m, NFTA_BITWISE_LEN, (uint32_t)n);
	put_value(r, NFTA_BITWISE_MASK, mask, n);
	put_value(r, NFTA_BITWISE_XOR, zeros, n);
	end(r, x);
}

void nft_lookup(struct nft_rule *r, const char *set, uint32_t reg, int to, bool is_inverted)
{
	struct expression x = begin(r, "lookup");

	nlmsg_text(r->m, NFTA_LOOKUP_SET, set);
	put_register(r, NFTA_LOOKUP_SREG, reg);
	if (to >= 0)
		put_register(r, NFTA_LOOKUP_DREG, (uint32_t)to);
	if (is_inverted)
		nlmsg_be32(r->m, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end(r, x);
}

void nft_note(struct nft_rule *r, const char *set, uint32_t reg, uint64_t ms)
{
	struct expression x = begin(r, "dynset");

	nlmsg_text(r->m, NFTA_DYNSET_SET_NAME, set);
	nlmsg_be32(r->m, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	put_register(r, NFTA_DYNSET_SREG_KEY, reg);
	nlmsg_be64(r->m, NFTA_DYNSET_TIMEOUT, ms);
	end(r, x);
}

void nft_local_destination(struct nft_rule *r, uint32_t reg)
{
	const uint32_t local = RTN_LOCAL;
	struct expression x = begin(r, "fib");

	put_register(r, NFTA_FIB_DREG, reg);
	nlmsg_be32(r->m, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nlmsg_be32(r->m, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end(r, x);
	nft_cmp(r, reg, true, &local, sizeof local);
}

void nft_verdict(struct nft_rule *r, int code, const char *chain)
{
	struct expression x = begin(r, "immediate");
	size_t data, verdict;

	nlmsg_be32(r->m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nlmsg_nest(r->m, NFTA_IMMEDIATE_DATA);
	verdict = nlmsg_nest(r->m, NFTA_DATA_VERDICT);
	nlmsg_be32(r->m, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nlmsg_text(r->m, NFTA_VERDICT_CHAIN, chain);
	nlmsg_end_nest(r->m, verdict);
	nlmsg_end_nest(r->m, data);
	end(r, x);
}

void nft_dnat(struct nft_rule *r, uint32_t family, uint32_t address, uint32_t port)
{
	struct expression x = begin(r, "nat");

	nlmsg_be32(r->m, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nlmsg_be32(r->m, NFTA_NAT_FAMILY, family);
	put_register(r, NFTA_NAT_REG_ADDR_MIN, address);
	put_register(r, NFTA_NAT_REG_PROTO_MIN, port);
	/* as nft writes it: address and port are both given */
	nlmsg_be32(r->m, NFTA_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	end(r, x);
}

void nft_masquerade(struct nft_rule *r)
{
	end(r, begin(r, "masq"));
}
