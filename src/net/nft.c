/* The table:
 *
 *	chain raw          (prerouting, raw)   nobody outside has, or reaches, 127.0.0.0/8
 *	chain prerouting   (dstnat)            what is for the host -> publish
 *	chain output       (dstnat)            what is for the host -> publish
 *	chain publish                          ports4, any4, ports6, any6: the container's address
 *	chain postrouting  (srcnat)            containers to elsewhere, and back to themselves
 *	chain forward      (filter)            into a bridge: answers, published ports, neighbours
 */
#include "net/nft.h"

#include "base/mem.h"
#include "net/nft_expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>

enum { RAW = -300, DSTNAT = -100, FILTER = 0, SRCNAT = 100 };
/* nft's numbers for types of data: so that `nft list` can show the sets */
enum { TYPE_IPADDR = 7, TYPE_IP6ADDR = 8, TYPE_PROTO = 12, TYPE_SERVICE = 13, TYPE_IFNAME = 41 };
#define CONCAT2(a, b) ((a) << 6 | (b))
#define CONCAT3(a, b, c) (CONCAT2(a, b) << 6 | (c))

struct set {
	const char *name;
	uint32_t key_type, key_len, data_type, data_len; /* data_len 0: a set, no map */
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
};

static const struct chain {
	const char *name, *type; /* type NULL: only jumped to */
	uint32_t hook;
	int priority;
} chains[] = {
	{ "publish", NULL, 0, 0 },
	{ "raw", "filter", NF_INET_PRE_ROUTING, RAW },
	{ "prerouting", "nat", NF_INET_PRE_ROUTING, DSTNAT },
	{ "output", "nat", NF_INET_LOCAL_OUT, DSTNAT },
	{ "postrouting", "nat", NF_INET_POST_ROUTING, SRCNAT },
	{ "forward", "filter", NF_INET_FORWARD, FILTER },
};

/* --- the table --- */

static void batch(struct nlmsg *m, uint16_t type)
{
	const struct nfgenmsg f = { .nfgen_family = AF_UNSPEC,
				    .version = NFNETLINK_V0,
				    .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	nlmsg_begin_no_ack(m, type, &f, sizeof f);
}

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

static void put_jump(struct nlmsg *m, const char *chain)
{
	struct nft_rule r;

	nft_rule_begin(&r, m, chain);
	nft_local_destination(&r, 0); /* only what is addressed to the host (CVE-2025-67499) */
	nft_verdict(&r, NFT_JUMP, "publish");
	nft_rule_end(&r);
}

/* The port of one address first, then that of all. */
static void put_publish(struct nlmsg *m, bool is_v6)
{
	const uint8_t family = is_v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	const uint32_t words = is_v6 ? 4 : 1;
	struct nft_rule r;

	nft_rule_begin(&r, m, "publish");
	only_family(&r, family);
	nft_meta(&r, NFT_META_L4PROTO, 0);
	nft_payload(&r, NFT_PAYLOAD_NETWORK_HEADER, is_v6 ? 24 : 16, words * 4, 1);
	nft_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1 + words);
	nft_lookup(&r, is_v6 ? "ports6" : "ports4", 0, 8, false);
	nft_dnat(&r, family, 8, 8 + words);
	nft_rule_end(&r);

	nft_rule_begin(&r, m, "publish");
	only_family(&r, family);
	nft_meta(&r, NFT_META_L4PROTO, 0);
	nft_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	nft_lookup(&r, is_v6 ? "any6" : "any4", 0, 8, false);
	nft_dnat(&r, family, 8, 8 + words);
	nft_rule_end(&r);
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

static void put_table(struct nlmsg *m)
{
	nft_begin(m, NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_INET);
	nlmsg_text(m, NFTA_TABLE_NAME, NFT_TABLE);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++)
		put_chain(m, &chains[i]);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		put_set(m, &sets[i], (uint32_t)i + 1);
	/* all rules of the table go, and come anew in the same transaction */
	nft_begin(m, NFT_MSG_DELRULE, 0, NFPROTO_INET);
	nlmsg_text(m, NFTA_RULE_TABLE, NFT_TABLE);
	put_raw(m);
	put_jump(m, "prerouting");
	put_jump(m, "output");
	put_publish(m, false);
	put_publish(m, true);
	put_loopback_masquerade(m);
	for (int v6 = 0; v6 < 2; v6++) {
		put_masquerade(m, v6, true);
		put_masquerade(m, v6, false);
	}
	put_forward(m);
}

/* --- elements --- */

static void put_element(struct nlmsg *m, uint16_t type, const char *set, const void *key, size_t n,
			const void *data, size_t data_n)
{
	size_t list, item, nest;

	nft_begin(m, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, NFPROTO_INET);
	nlmsg_text(m, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	nlmsg_text(m, NFTA_SET_ELEM_LIST_SET, set);
	list = nlmsg_nest(m, NFTA_SET_ELEM_LIST_ELEMENTS);
	item = nlmsg_nest(m, NFTA_LIST_ELEM);
	nest = nlmsg_nest(m, NFTA_SET_ELEM_KEY);
	nlmsg_put(m, NFTA_DATA_VALUE, key, n);
	nlmsg_end_nest(m, nest);
	if (data_n) {
		nest = nlmsg_nest(m, NFTA_SET_ELEM_DATA);
		nlmsg_put(m, NFTA_DATA_VALUE, data, data_n);
		nlmsg_end_nest(m, nest);
	}
	nlmsg_end_nest(m, item);
	nlmsg_end_nest(m, list);
	nlmsg_want_ack(m, false); /* thousands would not fit where they wait to be read */
}

static void put_bridge(struct nlmsg *m, const char *bridge)
{
	char pair[2 * IFNAMSIZ] = "";

	memcpy(pair, bridge, strnlen(bridge, IFNAMSIZ - 1));
	memcpy(pair + IFNAMSIZ, pair, IFNAMSIZ);
	put_element(m, NFT_MSG_NEWSETELEM, "bridges", pair, IFNAMSIZ, NULL, 0);
	put_element(m, NFT_MSG_NEWSETELEM, "neighbours", pair, sizeof pair, NULL, 0);
}

static void put_masqueraded(struct nlmsg *m, uint16_t type, const struct address *a)
{
	put_element(m, type, a->family == AF_INET6 ? "masq6" : "masq4", a->b, address_size(a), NULL,
		    0);
}

/* Where a port leads: the container's address, and its own port. */
static size_t port_data(const struct nft_port *p, uint8_t ret[20])
{
	uint16_t port = htons(p->container_port);
	size_t size = address_size(&p->container);

	memset(ret, 0, 20);
	memcpy(ret, p->container.b, size);
	memcpy(ret + size, &port, sizeof port);
	return size + 4;
}

static void put_port(struct nlmsg *m, uint16_t type, const struct nft_port *p)
{
	bool is_v6 = p->container.family == AF_INET6, is_any = !p->host.family;
	uint16_t host_port = htons(p->host_port);
	size_t size = address_size(&p->container), n = 4;
	uint8_t key[24] = { p->protocol }, data[20];
	size_t data_n = port_data(p, data);
	char name[8];

	if (!is_any) {
		memcpy(key + n, p->host.b, size);
		n += size;
	}
	memcpy(key + n, &host_port, sizeof host_port);
	snprintf(name, sizeof name, "%s%d", is_any ? "any" : "ports", is_v6 ? 6 : 4);
	put_element(m, type, name, key, n + 4, data, type == NFT_MSG_NEWSETELEM ? data_n : 0);
}

/* --- the two transactions --- */

static void end_batch(struct nlmsg *m)
{
	nlmsg_want_ack(m, true);
	batch(m, NFNL_MSG_BATCH_END);
}

static int transact(struct nlmsg *m, uint32_t *ret_seq, struct err *e)
{
	AUTO_FD int sock = nlmsg_open(NETLINK_NETFILTER);
	int r;

	if (sock < 0)
		return err_sys(e, -sock, "nf_tables");
	r = nlmsg_send(m, sock, ret_seq);
	return r < 0 ? err_sys(e, -r, "change the rules of nf_tables") : 0;
}

int nft_add(const struct nft_change *c, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	uint32_t first_port, seq = 0;

	batch(&m, NFNL_MSG_BATCH_BEGIN);
	put_table(&m);
	put_bridge(&m, c->bridge);
	for (size_t i = 0; i < c->n_masqueraded; i++)
		put_masqueraded(&m, NFT_MSG_NEWSETELEM, &c->masqueraded[i]);
	first_port = m.seq + 1;
	for (size_t i = 0; i < c->n_ports; i++)
		put_port(&m, NFT_MSG_NEWSETELEM, &c->ports[i]);
	end_batch(&m);
	if (transact(&m, &seq, e) == 0)
		return 0;
	if ((e->errnum != EBUSY && e->errnum != EEXIST) || seq < first_port ||
	    seq - first_port >= c->n_ports)
		return -1;
	err_clear(e);
	return err_set(e, ERR_ALREADY_EXISTS,
		       "port %u of the host is published by another container",
		       c->ports[seq - first_port].host_port);
}

/* A port that one asked for may have been another's all the time. */
static bool is_published(int sock, const struct nft_port *port)
{
	static const uint16_t way[] = { NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM,
					NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE };
	_Alignas(struct nlmsghdr) char buf[4096];
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	uint8_t data[20];
	size_t data_n = port_data(port, data), n;

	put_port(&m, NFT_MSG_GETSETELEM, port);
	ssize_t r = nlmsg_ask(&m, sock, buf, sizeof buf);
	if (r < (ssize_t)head)
		return false; /* nobody's */
	const void *p = buf + head;
	n = (size_t)r - head;
	for (size_t i = 0; p && i < ARRAY_LEN(way); i++)
		p = nlmsg_find(p, n, way[i], &n);
	return p && n == data_n && !memcmp(p, data, n);
}

/* The caller frees. */
static int find_published(const struct nft_change *c, struct nft_port **ret, size_t *ret_n,
			  struct err *e)
{
	AUTO_FD int sock = c->n_ports ? nlmsg_open(NETLINK_NETFILTER) : -1;

	*ret = NULL;
	*ret_n = 0;
	if (!c->n_ports)
		return 0;
	if (sock < 0)
		return err_sys(e, -sock, "nf_tables");
	*ret = xcalloc(c->n_ports, sizeof **ret);
	for (size_t i = 0; i < c->n_ports; i++)
		if (is_published(sock, &c->ports[i]))
			(*ret)[(*ret_n)++] = c->ports[i];
	return 0;
}

/* Each by itself: one that is gone (somebody flushed the rules) keeps none of the others. */
static int remove_one(struct nlmsg *m, struct err *e)
{
	end_batch(m);
	if (transact(m, NULL, e) == 0)
		return 0;
	if (e->errnum != ENOENT)
		return -1;
	err_clear(e);
	return 0;
}

static int remove_each(const struct nft_change *c, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;

	for (size_t i = 0; i < c->n_ports; i++) {
		batch(&m, NFNL_MSG_BATCH_BEGIN);
		put_port(&m, NFT_MSG_DELSETELEM, &c->ports[i]);
		if (remove_one(&m, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < c->n_masqueraded; i++) {
		batch(&m, NFNL_MSG_BATCH_BEGIN);
		put_masqueraded(&m, NFT_MSG_DELSETELEM, &c->masqueraded[i]);
		if (remove_one(&m, e) < 0)
			return -1;
	}
	return 0;
}

int nft_remove(const struct nft_change *whole, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	AUTO_FREE struct nft_port *ports = NULL;
	struct nft_change own = *whole, *c = &own;
	struct err all = { 0 };

	if (find_published(whole, &ports, &own.n_ports, e) < 0)
		return -1;
	own.ports = ports;
	if (!own.n_ports && !own.n_masqueraded)
		return 0;
	batch(&m, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < c->n_ports; i++)
		put_port(&m, NFT_MSG_DELSETELEM, &c->ports[i]);
	for (size_t i = 0; i < c->n_masqueraded; i++)
		put_masqueraded(&m, NFT_MSG_DELSETELEM, &c->masqueraded[i]);
	end_batch(&m);
	if (transact(&m, NULL, &all) == 0)
		return 0;
	return all.errnum == ENOENT ? remove_each(c, e) : err_copy(e, &all);
}
