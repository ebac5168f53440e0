#include "net/nft_state.h"

#include "base/mem.h"
#include "net/nft_expr.h"
#include "os/fd.h"

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

static size_t count(const void *data, size_t n, uint8_t kind, bool *ret_is_done)
{
	const struct nlmsghdr *h = data;
	size_t found = 0;

	if (n < sizeof *h || h->nlmsg_len < sizeof *h || h->nlmsg_len > n)
		return 0;
	for (; h; h = next_message(h, &n)) {
		found += is_kind(h, kind);
		*ret_is_done |= h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
	}
	return found;
}

/* Of the kernel; 0 when there is no such table. */
static size_t count_rules(int sock)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	AUTO_FREE void *buf = xmalloc(DATAGRAM);
	bool is_done = false;
	size_t found = 0;

	nft_begin(&m, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_INET);
	nlmsg_text(&m, NFTA_RULE_TABLE, NFT_TABLE);
	nlmsg_want_ack(&m, false);
	if (send(sock, m.bytes.ptr, m.bytes.len, 0) < 0)
		return 0;
	while (!is_done) {
		ssize_t n = recv(sock, buf, DATAGRAM, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		found += count(buf, (size_t)n, NFT_MSG_NEWRULE, &is_done);
	}
	return found;
}

static bool has_rules(int sock, bool is_screened)
{
	AUTO_NLMSG struct nlmsg ours = NLMSG_INIT;
	bool ignored = false;

	nft_put_table(&ours, is_screened);
	return count_rules(sock) ==
	       count(ours.bytes.ptr, ours.bytes.len, NFT_MSG_NEWRULE, &ignored);
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
