/* The table: its chains, sets and rules, the same for every container.
 *
 *	chain raw          (prerouting, raw)   nobody outside has, or reaches, 127.0.0.0/8
 *	chain prerouting   (dstnat)            what is for the host -> publish
 *	chain output       (dstnat)            what is for the host -> publish
 *	chain publish                          ports4, any4, ports6, any6: the container's address
 *	chain postrouting  (srcnat)            containers to elsewhere, and back to themselves
 *	chain forward      (filter)            into a bridge: answers, published ports, neighbours
 *
 * Where the host's own rules for what comes in (INPUT) shall decide about published ports, too:
 *
 *	chain prerouting                       what is for the host -> screened
 *	chain screened                         tcp4, tcp6, other4, other6: who was let in -> publish
 *	chain input        (after all filters) a new one for a published port: noted in these
 *
 * The first packet of somebody new goes the way to the host itself; where it is let in, it is
 * noted and dropped, and its repetition goes to the container.  Who was let in by one interface
 * and to one address has to ask again for others.  Notes of TCP go after a minute without a new
 * connection: first packets come under any name, and a full set lets in nobody new.  Those of
 * other protocols, which may never repeat what was dropped, stay longer, in sets of their own.
 */
#include "net/nft_expr.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>

enum { RAW = -300, DSTNAT = -100, FILTER = 0, SRCNAT = 100, AFTER_ALL = 300 };
enum { TCP_MS = 60000, TCP_MAX = 131072, OTHER_MS = 600000, OTHER_MAX = 65536 };
/* nft's numbers for types of data: so that `nft list` can show the sets */
enum {
	TYPE_IPADDR = 7,
	TYPE_IP6ADDR = 8,
	TYPE_PROTO = 12,
	TYPE_SERVICE = 13,
	TYPE_IFINDEX = 20,
	TYPE_IFNAME = 41
};
#define CONCAT2(a, b) ((a) << 6 | (b))
#define CONCAT3(a, b, c) (CONCAT2(a, b) << 6 | (c))
/* who it is from, to which address, by which interface, to which port */
#define ASKER(address) (CONCAT3(CONCAT3(address, address, TYPE_IFINDEX), TYPE_PROTO, TYPE_SERVICE))

struct set {
	const char *name;
	uint32_t key_type, key_len, data_type, data_len; /* data_len 0: a set, no map */
	uint32_t max, ms; /* 0: not one that rules put something in, which goes by itself */
};

static const struct set sets[] = {
	{ "bridges", TYPE_IFNAME, IFNAMSIZ, 0, 0 },
	{ "neighbours", CONCAT2(TYPE_IFNAME, TYPE_IFNAME), 2 * IFNAMSIZ, 0, 0 },
	{ "masq4", TYPE_IPADDR, 4, 0, 0 },
	{ "masq6", TYPE_IP6ADDR, 16, 0, 0 },
	{ "ports4", CONCAT3(TYPE_PROTO, TYPE_IPADDR, TYPE_SERVICE), 12,
	  CONCAT2(TYPE_IPADDR, TYPE_SERVICE), 8 },
	{ "any4", CONCAT2(TYPE_PROTO, TYPE_SERVICE), 8, CONCAT2(TYPE_IPADDR, TYPE_SERVICE), 8 },
	{ "ports6", CONCAT3(TYPE_PROTO, TYPE_IP6ADDR, TYPE_SERVICE), 24,
	  CONCAT2(TYPE_IP6ADDR, TYPE_SERVICE), 20 },
	{ "any6", CONCAT2(TYPE_PROTO, TYPE_SERVICE), 8, CONCAT2(TYPE_IP6ADDR, TYPE_SERVICE), 20 },
	{ "tcp4", ASKER(TYPE_IPADDR), 20, 0, 0, TCP_MAX, TCP_MS },
	{ "tcp6", ASKER(TYPE_IP6ADDR), 44, 0, 0, TCP_MAX, TCP_MS },
	{ "other4", ASKER(TYPE_IPADDR), 20, 0, 0, OTHER_MAX, OTHER_MS },
	{ "other6", ASKER(TYPE_IP6ADDR), 44, 0, 0, OTHER_MAX, OTHER_MS },
};

static const struct chain {
	const char *name, *type; /* type NULL: only jumped to */
	uint32_t hook;
	int priority;
} chains[] = {
	{ "publish", NULL, 0, 0 },
	{ "screened", NULL, 0, 0 },
	{ "raw", "filter", NF_INET_PRE_ROUTING, RAW },
	{ "prerouting", "nat", NF_INET_PRE_ROUTING, DSTNAT },
	{ "output", "nat", NF_INET_LOCAL_OUT, DSTNAT },
	{ "postrouting", "nat", NF_INET_POST_ROUTING, SRCNAT },
	{ "forward", "filter", NF_INET_FORWARD, FILTER },
	{ "input", "filter", NF_INET_LOCAL_IN, AFTER_ALL },
};

static void put_chain(struct nlmsg *m, const struct chain *c)
{
	nft_begin(m, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_INET);
	nlmsg_text(m, NFTA_CHAIN_TABLE, NFT_TABLE);
	nlmsg_text(m, NFTA_CHAIN_NAME, c->name);
	if (!c->type)
		return;
	size_t hook = nlmsg_nest(m, NFTA_CHAIN_HOOK);

	nlmsg_be32(m, NFTA_HOOK_HOOKNUM, c->hook);
	nlmsg_be32(m, NFTA_HOOK_PRIORITY, (uint32_t)c->priority);
	nlmsg_end_nest(m, hook);
	nlmsg_text(m, NFTA_CHAIN_TYPE, c->type);
}

static void put_set(struct nlmsg *m, const struct set *s, uint32_t id)
{
	nft_begin(m, NFT_MSG_NEWSET, NLM_F_CREATE, NFPROTO_INET);
	nlmsg_text(m, NFTA_SET_TABLE, NFT_TABLE);
	nlmsg_text(m, NFTA_SET_NAME, s->name);
	nlmsg_be32(m, NFTA_SET_ID, id);
	nlmsg_be32(m, NFTA_SET_KEY_TYPE, s->key_type);
	nlmsg_be32(m, NFTA_SET_KEY_LEN, s->key_len);
	if (s->max) {
		size_t size;

		nlmsg_be32(m, NFTA_SET_FLAGS, NFT_SET_TIMEOUT | NFT_SET_EVAL);
		nlmsg_be64(m, NFTA_SET_TIMEOUT, s->ms);
		size = nlmsg_nest(m, NFTA_SET_DESC);
		nlmsg_be32(m, NFTA_SET_DESC_SIZE, s->max);
		nlmsg_end_nest(m, size);
	}
	if (!s->data_len)
		return;
	nlmsg_be32(m, NFTA_SET_FLAGS, NFT_SET_MAP);
	nlmsg_be32(m, NFTA_SET_DATA_TYPE, s->data_type);
	nlmsg_be32(m, NFTA_SET_DATA_LEN, s->data_len);
}

/* Goes on for this family alone. */
static void only_family(struct nft_rule *r, uint8_t family)
{
	nft_meta(r, NFT_META_NFPROTO, 0);
	nft_cmp(r, 0, true, &family, 1);
}

static void is_translated(struct nft_rule *r)
{
	const uint32_t dnat = IPS_DST_NAT, zero = 0;

	nft_ct(r, NFT_CT_STATUS, 0);
	nft_mask(r, 0, &dnat, sizeof dnat);
	nft_cmp(r, 0, false, &zero, sizeof zero);
}

/* No packet from outside goes to 127.0.0.1 or claims to come from there: bridges route such
 * addresses, so that the host reaches published ports by its own (route_localnet). */
static void put_raw(struct nlmsg *m)
{
	static const uint32_t ends[] = { 12, 16 }; /* where it says that it comes from, and goes */
	const uint8_t loopback = 127;
	const char lo[IFNAMSIZ] = "lo";
	struct nft_rule r;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		nft_rule_begin(&r, m, "raw");
		only_family(&r, NFPROTO_IPV4);
		nft_meta(&r, NFT_META_IIFNAME, 0);
		nft_cmp(&r, 0, false, lo, sizeof lo);
		nft_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, ends[i], 1, 0);
		nft_cmp(&r, 0, true, &loopback, 1);
		nft_verdict(&r, NF_DROP, NULL);
		nft_rule_end(&r);
	}
}

static void put_jump(struct nlmsg *m, const char *chain, const char *to)
{
	struct nft_rule r;

	nft_rule_begin(&r, m, chain);
	nft_local_destination(&r, 0); /* only what is addressed to the host (CVE-2025-67499) */
	nft_verdict(&r, NFT_JUMP, to);
	nft_rule_end(&r);
}

/* Where a packet is sent to, in registers from 0; goes on if that is published. */
static void is_published(struct nft_rule *r, bool is_v6, bool is_any)
{
	const uint32_t words = is_any ? 0 : is_v6 ? 4 : 1;
	const char *const maps[] = { "ports4", "any4", "ports6", "any6" };

	nft_meta(r, NFT_META_L4PROTO, 0);
	if (!is_any)
		nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, is_v6 ? 24 : 16, words * 4, 1);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1 + words);
	nft_lookup(r, maps[2 * is_v6 + is_any], 0, 8, false);
}

/* What notes are told apart by: which set they are in. */
struct kind {
	bool is_v6, is_tcp;
};

static const char *set_of(struct kind k)
{
	static const char *const names[] = { "other4", "tcp4", "other6", "tcp6" };

	return names[2 * k.is_v6 + k.is_tcp];
}

static void only_kind(struct nft_rule *r, struct kind k)
{
	const uint8_t tcp = IPPROTO_TCP;

	only_family(r, k.is_v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_meta(r, NFT_META_L4PROTO, 0);
	nft_cmp(r, 0, k.is_tcp, &tcp, 1);
}

/* The key of those sets, from register 0; both addresses stand side by side. */
static void load_asker(struct nft_rule *r, bool is_v6)
{
	const uint32_t words = is_v6 ? 8 : 2;

	nft_payload(r, NFT_PAYLOAD_NETWORK_HEADER, is_v6 ? 8 : 12, words * 4, 0);
	nft_meta(r, NFT_META_IIF, words);
	nft_meta(r, NFT_META_L4PROTO, words + 1);
	nft_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, words + 2);
}

static void put_screened(struct nlmsg *m, struct kind k)
{
	struct nft_rule r;

	nft_rule_begin(&r, m, "screened");
	only_kind(&r, k);
	load_asker(&r, k.is_v6);
	nft_lookup(&r, set_of(k), 0, -1, false);
	nft_note(&r, set_of(k), 0, k.is_tcp ? TCP_MS : OTHER_MS); /* it begins anew */
	nft_verdict(&r, NFT_JUMP, "publish");
	nft_rule_end(&r);
}

static void put_input(struct nlmsg *m, struct kind k, bool is_any)
{
	const uint32_t is_new = 8, zero = 0;
	struct nft_rule r;

	nft_rule_begin(&r, m, "input");
	only_kind(&r, k);
	nft_ct(&r, NFT_CT_STATE, 0);
	nft_mask(&r, 0, &is_new, sizeof is_new);
	nft_cmp(&r, 0, false, &zero, sizeof zero);
	is_published(&r, k.is_v6, is_any);
	load_asker(&r, k.is_v6);
	nft_note(&r, set_of(k), 0, k.is_tcp ? TCP_MS : OTHER_MS);
	nft_verdict(&r, NF_DROP, NULL);
	nft_rule_end(&r);
}

/* The port of one address first, then that of all. */
static void put_publish(struct nlmsg *m, bool is_v6)
{
	const uint8_t family = is_v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	struct nft_rule r;

	for (int is_any = 0; is_any < 2; is_any++) {
		nft_rule_begin(&r, m, "publish");
		only_family(&r, family);
		is_published(&r, is_v6, is_any);
		nft_dnat(&r, family, 8, is_v6 ? 12 : 9);
		nft_rule_end(&r);
	}
}

/* From a container to elsewhere, and to a published port of a container on its own bridge. */
static void put_masquerade(struct nlmsg *m, bool is_v6, bool is_hairpin)
{
	const uint8_t multicast = is_v6 ? 0xff : 0xe0, mask = is_v6 ? 0xff : 0xf0;
	struct nft_rule r;

	nft_rule_begin(&r, m, "postrouting");
	only_family(&r, is_v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	nft_meta(&r, NFT_META_OIFNAME, 0);
	nft_lookup(&r, "bridges", 0, -1, !is_hairpin);
	nft_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, is_v6 ? 8 : 12, is_v6 ? 16 : 4, 0);
	nft_lookup(&r, is_v6 ? "masq6" : "masq4", 0, -1, false);
	if (is_hairpin) {
		is_translated(&r);
	} else {
		nft_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, is_v6 ? 24 : 16, 1, 0);
		nft_mask(&r, 0, &mask, 1);
		nft_cmp(&r, 0, false, &multicast, 1);
	}
	nft_masquerade(&r);
	nft_rule_end(&r);
}

/* The host's own packets from 127.0.0.1 to a container: their answers need a way back. */
static void put_loopback_masquerade(struct nlmsg *m)
{
	const uint8_t loopback = 127;
	struct nft_rule r;

	nft_rule_begin(&r, m, "postrouting");
	only_family(&r, NFPROTO_IPV4);
	nft_meta(&r, NFT_META_OIFNAME, 0);
	nft_lookup(&r, "bridges", 0, -1, false);
	nft_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, 12, 1, 0);
	nft_cmp(&r, 0, true, &loopback, 1);
	nft_masquerade(&r);
	nft_rule_end(&r);
}

/* Into a bridge comes what was asked for, what is published, and what is from the same bridge;
 * everything else, also from one bridge to another, does not.  What is not for a bridge is not
 * ours: the policy stays accept, other tables decide. */
static void put_forward(struct nlmsg *m)
{
	const uint32_t answers = 2 | 4, zero = 0; /* established, related */
	struct nft_rule r;

	nft_rule_begin(&r, m, "forward");
	nft_meta(&r, NFT_META_OIFNAME, 0);
	nft_lookup(&r, "bridges", 0, -1, true);
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r);

	nft_rule_begin(&r, m, "forward");
	nft_ct(&r, NFT_CT_STATE, 0);
	nft_mask(&r, 0, &answers, sizeof answers);
	nft_cmp(&r, 0, false, &zero, sizeof zero);
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r);

	nft_rule_begin(&r, m, "forward");
	is_translated(&r);
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r);

	nft_rule_begin(&r, m, "forward");
	nft_meta(&r, NFT_META_IIFNAME, 0);
	nft_meta(&r, NFT_META_OIFNAME, 4);
	nft_lookup(&r, "neighbours", 0, -1, false);
	nft_verdict(&r, NF_ACCEPT, NULL);
	nft_rule_end(&r);

	nft_rule_begin(&r, m, "forward");
	nft_verdict(&r, NF_DROP, NULL);
	nft_rule_end(&r);
}

void nft_put_table(struct nlmsg *m, bool is_screened)
{
	nft_begin(m, NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_INET);
	nlmsg_text(m, NFTA_TABLE_NAME, NFT_TABLE);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++)
		put_chain(m, &chains[i]);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (!sets[i].max || is_screened)
			put_set(m, &sets[i], (uint32_t)i + 1);
	/* all rules of the table go, and come anew in the same transaction */
	nft_begin(m, NFT_MSG_DELRULE, 0, NFPROTO_INET);
	nlmsg_text(m, NFTA_RULE_TABLE, NFT_TABLE);
	put_raw(m);
	put_jump(m, "prerouting", is_screened ? "screened" : "publish");
	put_jump(m, "output", "publish");
	for (int i = 0; is_screened && i < 4; i++) {
		const struct kind k = { i & 1, i & 2 };

		put_input(m, k, false);
		put_input(m, k, true);
		put_screened(m, k);
	}
	put_publish(m, false);
	put_publish(m, true);
	put_loopback_masquerade(m);
	for (int v6 = 0; v6 < 2; v6++) {
		put_masquerade(m, v6, true);
		put_masquerade(m, v6, false);
	}
	put_forward(m);
}
