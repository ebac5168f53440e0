#include "net/nft_state.h"

#include "base/mem.h"
#include "net/nft_expr.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { DATAGRAM = 64 << 10, TABLE_NAME = 1 /* in messages of each kind */ };

static bool is_kind(const struct nlmsghdr *h, uint8_t kind)
{
	return h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | kind);
}

static const struct nlmsghdr *next_message(const struct nlmsghdr *h, size_t *left)
{
	size_t step = NLMSG_ALIGN(h->nlmsg_len);

	if (step >= *left)
		return NULL;
	*left -= step;
	h = (const void *)((const char *)h + step);
	return *left >= sizeof *h && h->nlmsg_len >= sizeof *h && h->nlmsg_len <= *left ? h : NULL;
}

/* An attribute of a message. */
static bool has_text(const struct nlmsghdr *h, uint16_t type, const char *text)
{
	const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	const void *p = NULL;
	size_t n = 0;

	if (h->nlmsg_len >= head)
		p = nlmsg_find((const char *)h + head, h->nlmsg_len - head, type, &n);
	return p && n == strlen(text) + 1 && !memcmp(p, text, n);
}

/* --- is it whole --- */

typedef void visit_fn(const struct nlmsghdr *h, void *arg);

/* Each message of a packet; true at the end of a dump. */
static bool walk(const void *data, size_t n, visit_fn *visit, void *arg)
{
	const struct nlmsghdr *h = data;
	bool is_done = false;

	if (n < sizeof *h || h->nlmsg_len < sizeof *h || h->nlmsg_len > n)
		return true;
	for (; h; h = next_message(h, &n)) {
		visit(h, arg);
		is_done |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
	}
	return is_done;
}

static void dump(int sock, struct nlmsg *m, visit_fn *visit, void *arg)
{
	AUTO_FREE void *buf = xmalloc(DATAGRAM);
	ssize_t n;

	nlmsg_want_ack(m, false);
	if (send(sock, m->bytes.ptr, m->bytes.len, 0) < 0)
		return;
	do {
		n = recv(sock, buf, DATAGRAM, 0);
	} while ((n < 0 && errno == EINTR) || (n > 0 && !walk(buf, (size_t)n, visit, arg)));
}

static void count_rule(const struct nlmsghdr *h, void *arg)
{
	*(size_t *)arg += is_kind(h, NFT_MSG_NEWRULE);
}

static bool has_rules(int sock, bool is_screened)
{
	AUTO_NLMSG struct nlmsg ours = NLMSG_INIT, ask = NLMSG_INIT;
	size_t wanted = 0, there = 0;

	nft_put_table(&ours, is_screened);
	(void)walk(ours.bytes.ptr, ours.bytes.len, count_rule, &wanted);
	nft_begin(&ask, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_INET);
	nlmsg_text(&ask, NFTA_RULE_TABLE, NFT_TABLE);
	dump(sock, &ask, count_rule, &there);
	return there == wanted;
}

bool nft_is_whole(const struct nft_change *c)
{
	AUTO_FD int sock = nlmsg_open(NETLINK_NETFILTER);

	if (sock < 0 || !has_rules(sock, c->is_screened) || !nft_has_bridge(sock, c->bridge))
		return false;
	for (size_t i = 0; i < c->n_masqueraded; i++)
		if (!nft_has_masqueraded(sock, &c->masqueraded[i]))
			return false;
	for (size_t i = 0; i < c->n_ports; i++)
		if (!nft_has_port(sock, &c->ports[i]))
			return false;
	return true;
}

/* --- the host's firewall --- */

static void find_closed(const struct nlmsghdr *h, void *arg)
{
	const struct nfgenmsg *f = NLMSG_DATA(h);
	const size_t head = NLMSG_LENGTH(sizeof *f);
	const uint32_t input = htonl(NF_INET_LOCAL_IN), drop = htonl(NF_DROP);
	const void *policy, *hook;
	size_t n, hook_n, nest_n;

	if (!is_kind(h, NFT_MSG_NEWCHAIN) || h->nlmsg_len < head ||
	    (f->nfgen_family != NFPROTO_INET && f->nfgen_family != NFPROTO_IPV4 &&
	     f->nfgen_family != NFPROTO_IPV6))
		return;
	policy = nlmsg_find((const char *)h + head, h->nlmsg_len - head, NFTA_CHAIN_POLICY, &n);
	if (!policy || n != sizeof drop || memcmp(policy, &drop, n) != 0)
		return;
	hook = nlmsg_find((const char *)h + head, h->nlmsg_len - head, NFTA_CHAIN_HOOK, &nest_n);
	hook = hook ? nlmsg_find(hook, nest_n, NFTA_HOOK_HOOKNUM, &hook_n) : NULL;
	if (hook && hook_n == sizeof input && !memcmp(hook, &input, hook_n))
		*(bool *)arg = true;
}

bool nft_host_is_closed(void)
{
	AUTO_FD int sock = nlmsg_open(NETLINK_NETFILTER);
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	bool is_closed = false;

	if (sock < 0)
		return false;
	nft_begin(&m, NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC);
	dump(sock, &m, find_closed, &is_closed);
	return is_closed;
}

/* --- who says when it is not --- */

int nft_watch_open(void)
{
	const int group = NFNLGRP_NFTABLES;
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	AUTO_FD int fd = nlmsg_open(NETLINK_NETFILTER);

	if (fd < 0)
		return fd;
	/* one without an address is told nothing */
	if (bind(fd, (const struct sockaddr *)&any, sizeof any) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
		return -errno;
	int r = fd_set_nonblock(fd, true);

	return r < 0 ? r : TAKE_FD(fd);
}

void nft_watch_init(struct nft_watch *w)
{
	*w = (struct nft_watch){ 0 };
	(void)prctl(PR_GET_NAME, w->self);
}

static bool takes_away(const struct nlmsghdr *h)
{
	static const uint8_t kinds[] = { NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE,
					 NFT_MSG_DELSET, NFT_MSG_DELSETELEM };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (is_kind(h, kinds[i]))
			return has_text(h, TABLE_NAME, NFT_TABLE);
	return false;
}

/* The end of a transaction says whose it was. */
enum nft_news nft_watch_take(struct nft_watch *w, const void *data, size_t left)
{
	const struct nlmsghdr *h = data;
	enum nft_news news = NFT_NOTHING;

	if (left < sizeof *h || h->nlmsg_len < sizeof *h || h->nlmsg_len > left)
		return news;
	for (; h; h = next_message(h, &left)) {
		w->is_touched |= takes_away(h);
		if (!is_kind(h, NFT_MSG_NEWGEN))
			continue;
		if (!has_text(h, NFTA_GEN_PROC_NAME, w->self))
			news = w->is_touched || news == NFT_TAKEN ? NFT_TAKEN : NFT_OTHERS;
		w->is_touched = false;
	}
	return news;
}

enum nft_news nft_watch_read(struct nft_watch *w, int fd)
{
	AUTO_FREE void *buf = xmalloc(DATAGRAM);
	enum nft_news news = NFT_NOTHING, more;

	for (;;) {
		ssize_t n = recv(fd, buf, DATAGRAM, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) { /* more than there was room for: who knows */
			news = NFT_TAKEN;
			continue;
		}
		if (n <= 0)
			return news;
		more = nft_watch_take(w, buf, (size_t)n);
		news = more > news ? more : news;
	}
}
