#include "net/nft.h"

#include "base/mem.h"
#include "net/nft_expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>

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

/* --- the transactions --- */

static void batch(struct nlmsg *m, uint16_t type)
{
	const struct nfgenmsg f = { .nfgen_family = AF_UNSPEC,
				    .version = NFNETLINK_V0,
				    .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	nlmsg_begin_no_ack(m, type, &f, sizeof f);
}

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
	nft_put_table(&m, c->is_screened);
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

/* What a set has under the key that m asks for: the data of a map in ret (n bytes of it), or just
 * that it is there. */
static bool ask_element(struct nlmsg *m, int sock, const uint8_t *data, size_t data_n)
{
	static const uint16_t way[] = { NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM,
					NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE };
	_Alignas(struct nlmsghdr) char buf[4096];
	const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	const void *p = buf + head;
	size_t n, steps = data ? ARRAY_LEN(way) : 2;
	ssize_t r = nlmsg_ask(m, sock, buf, sizeof buf);

	if (r < (ssize_t)head)
		return false; /* nobody's */
	n = (size_t)r - head;
	for (size_t i = 0; p && i < steps; i++)
		p = nlmsg_find(p, n, way[i], &n);
	return p && (!data || (n == data_n && !memcmp(p, data, n)));
}

/* A port that one asked for may have been another's all the time. */
bool nft_has_port(int sock, const struct nft_port *port)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	uint8_t data[20];
	size_t data_n = port_data(port, data);

	put_port(&m, NFT_MSG_GETSETELEM, port);
	return ask_element(&m, sock, data, data_n);
}

bool nft_has_masqueraded(int sock, const struct address *a)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;

	put_masqueraded(&m, NFT_MSG_GETSETELEM, a);
	return ask_element(&m, sock, NULL, 0);
}

bool nft_has_bridge(int sock, const char *bridge)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	char name[IFNAMSIZ] = "";

	memcpy(name, bridge, strnlen(bridge, IFNAMSIZ - 1));
	put_element(&m, NFT_MSG_GETSETELEM, "bridges", name, IFNAMSIZ, NULL, 0);
	return ask_element(&m, sock, NULL, 0);
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
		if (nft_has_port(sock, &c->ports[i]))
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

int nft_forget_askers(struct err *e)
{
	static const char *const sets[] = { "tcp4", "tcp6", "other4", "other6" };
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;

	batch(&m, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		nft_begin(&m, NFT_MSG_DELSETELEM, 0, NFPROTO_INET);
		nlmsg_text(&m, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
		nlmsg_text(&m, NFTA_SET_ELEM_LIST_SET, sets[i]);
	}
	return remove_one(&m, e);
}
