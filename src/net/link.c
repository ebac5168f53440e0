#include "net/link.h"

#include "base/mem.h"
#include "os/file.h"
#include "os/nlmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

void link_close(struct link_sockets *s)
{
	close_fd(&s->host);
	close_fd(&s->inside);
	close_fd(&s->netns);
}

/* This thread is in the container's namespace for the time of one system call. */
static int open_inside(int netns)
{
	AUTO_FD int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	if (own < 0 || setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = nlmsg_open(NETLINK_ROUTE);
	if (setns(own, CLONE_NEWNET) < 0)
		BUG("a thread cannot come back from a container's network namespace");
	return fd;
}

int link_open(const char *netns, struct link_sockets *ret, struct err *e)
{
	*ret = (struct link_sockets){ -1, -1, -1 };
	ret->host = nlmsg_open(NETLINK_ROUTE);
	if (ret->host < 0)
		return err_sys(e, -ret->host, "netlink socket");
	if (!*netns)
		return 0;
	ret->netns = open(netns, O_RDONLY | O_CLOEXEC);
	if (ret->netns < 0)
		return err_sys(e, errno, "open %s", netns);
	ret->inside = open_inside(ret->netns);
	return ret->inside < 0 ? err_sys(e, -ret->inside, "enter %s", netns) : 0;
}

void link_sysctl(const char *value, const char *fmt, ...)
{
	char path[128] = "/proc/sys/net/";
	size_t n = strlen(path);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof path - n, fmt, ap);
	va_end(ap);
	(void)file_poke(AT_FDCWD, path, value); /* no IPv6, or no right to: as it is then */
}

static int index_of(int sock, const char *name)
{
	struct ifreq r = { 0 };

	if (strlen(name) >= sizeof r.ifr_name)
		return -ENODEV;
	memcpy(r.ifr_name, name, strlen(name));
	return ioctl(sock, SIOCGIFINDEX, &r) < 0 ? -errno : r.ifr_ifindex;
}

bool link_exists(int sock, const char *name)
{
	return index_of(sock, name) > 0;
}

void link_mac(int sock, const char *name, char ret[18])
{
	struct ifreq r = { 0 };
	const uint8_t *b = (const uint8_t *)r.ifr_hwaddr.sa_data;

	*ret = 0;
	if (strlen(name) >= sizeof r.ifr_name)
		return;
	memcpy(r.ifr_name, name, strlen(name));
	if (ioctl(sock, SIOCGIFHWADDR, &r) == 0)
		snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
			 b[5]);
}

static void add_address(struct nlmsg *m, int index, const struct link_address *a)
{
	const struct ifaddrmsg f = { .ifa_family = (uint8_t)a->address.family,
				     .ifa_prefixlen = (uint8_t)a->prefix,
				     .ifa_index = (uint32_t)index };
	size_t n = address_size(&a->address);
	struct address broadcast = a->address;

	nlmsg_begin(m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &f, sizeof f);
	nlmsg_put(m, IFA_LOCAL, a->address.b, n);
	nlmsg_put(m, IFA_ADDRESS, a->address.b, n);
	/* nobody else has it: what was just given is used at once */
	if (a->address.family == AF_INET6)
		nlmsg_u32(m, IFA_FLAGS, IFA_F_NODAD);
	if (a->address.family != AF_INET || a->prefix > 30)
		return;
	for (unsigned bit = a->prefix; bit < 32; bit++)
		broadcast.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	nlmsg_put(m, IFA_BROADCAST, broadcast.b, n);
}

static void set_up(struct nlmsg *m, int index)
{
	const struct ifinfomsg f = { .ifi_index = index,
				     .ifi_flags = IFF_UP,
				     .ifi_change = IFF_UP };

	nlmsg_begin(m, RTM_NEWLINK, 0, &f, sizeof f);
}

/* A fixed address of its own: a bridge's would change with its ports. */
static void random_mac(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		BUG("getrandom gave less than it was asked for");
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* local, for one */
}

static int make_bridge(const struct link_sockets *s, const char *name, unsigned mtu, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	const struct ifinfomsg f = { 0 };
	uint8_t mac[6];
	size_t info;
	int r;

	random_mac(mac);
	nlmsg_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &f, sizeof f);
	nlmsg_text(&m, IFLA_IFNAME, name);
	nlmsg_put(&m, IFLA_ADDRESS, mac, sizeof mac);
	if (mtu)
		nlmsg_u32(&m, IFLA_MTU, mtu);
	info = nlmsg_nest(&m, IFLA_LINKINFO);
	nlmsg_text(&m, IFLA_INFO_KIND, "bridge");
	nlmsg_end_nest(&m, info);
	r = nlmsg_send(&m, s->host, NULL);
	return r < 0 && r != -EEXIST ? err_sys(e, -r, "make bridge %s", name) : 0;
}

int link_bridge(const struct link_sockets *s, const char *name, unsigned mtu,
		const struct link_address *v, size_t n, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	bool has_v6 = false;
	int index = index_of(s->host, name), r;

	for (size_t i = 0; i < n; i++)
		has_v6 |= v[i].address.family == AF_INET6;
	if (index < 0) {
		if (make_bridge(s, name, mtu, e) < 0)
			return -1;
		index = index_of(s->host, name);
		if (index < 0)
			return err_sys(e, -index, "bridge %s", name);
	}
	/* No container teaches the host a route, and IPv4 alone is no IPv6 (CVE-2020-13401,
	 * CVE-2024-32473). */
	link_sysctl("0", "ipv6/conf/%s/accept_ra", name);
	link_sysctl(has_v6 ? "0" : "1", "ipv6/conf/%s/disable_ipv6", name);
	for (size_t i = 0; i < n; i++)
		add_address(&m, index, &v[i]);
	set_up(&m, index);
	r = nlmsg_send(&m, s->host, NULL);
	return r < 0 ? err_sys(e, -r, "set up bridge %s", name) : 0;
}

/* Both ends in one message: the inner one is born where it belongs. */
static int make_cable(const struct link_sockets *s, const struct cable *c, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	const struct ifinfomsg f = { 0 };
	size_t info, data, peer;
	int bridge = index_of(s->host, c->bridge), r;

	if (bridge < 0)
		return err_sys(e, -bridge, "bridge %s", c->bridge);
	nlmsg_begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &f, sizeof f);
	nlmsg_text(&m, IFLA_IFNAME, c->outside);
	nlmsg_u32(&m, IFLA_MASTER, (uint32_t)bridge);
	if (c->mtu)
		nlmsg_u32(&m, IFLA_MTU, c->mtu);
	info = nlmsg_nest(&m, IFLA_LINKINFO);
	nlmsg_text(&m, IFLA_INFO_KIND, "veth");
	data = nlmsg_nest(&m, IFLA_INFO_DATA);
	peer = nlmsg_nest(&m, VETH_INFO_PEER);
	nlmsg_raw(&m, &f, sizeof f);
	nlmsg_text(&m, IFLA_IFNAME, c->inside);
	nlmsg_u32(&m, IFLA_NET_NS_FD, (uint32_t)s->netns);
	if (c->mac)
		nlmsg_put(&m, IFLA_ADDRESS, c->mac, 6);
	if (c->mtu)
		nlmsg_u32(&m, IFLA_MTU, c->mtu);
	nlmsg_end_nest(&m, peer);
	nlmsg_end_nest(&m, data);
	nlmsg_end_nest(&m, info);
	r = nlmsg_send(&m, s->host, NULL);
	return r < 0 ? err_sys(e, -r, "make interface %s", c->inside) : 0;
}

/* What goes back where it came from: a container that asks for its own published port. */
static int plug_in(const struct link_sockets *s, const struct cable *c, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	const uint8_t on = 1;
	int index = index_of(s->host, c->outside), r;
	size_t port;

	if (index < 0)
		return err_sys(e, -index, "interface %s", c->outside);
	link_sysctl("0", "ipv6/conf/%s/accept_ra", c->outside);
	link_sysctl("1", "ipv6/conf/%s/disable_ipv6", c->outside); /* a port has no address */
	const struct ifinfomsg f = { .ifi_family = AF_BRIDGE, .ifi_index = index };

	nlmsg_begin(&m, RTM_SETLINK, 0, &f, sizeof f);
	port = nlmsg_nest(&m, IFLA_PROTINFO);
	nlmsg_put(&m, IFLA_BRPORT_MODE, &on, 1);
	nlmsg_end_nest(&m, port);
	set_up(&m, index);
	r = nlmsg_send(&m, s->host, NULL);
	return r < 0 ? err_sys(e, -r, "set up interface %s", c->outside) : 0;
}

static void add_route(struct nlmsg *m, int index, const struct address *gateway)
{
	const struct rtmsg f = { .rtm_family = (uint8_t)gateway->family,
				 .rtm_table = RT_TABLE_MAIN,
				 .rtm_protocol = RTPROT_BOOT,
				 .rtm_scope = RT_SCOPE_UNIVERSE,
				 .rtm_type = RTN_UNICAST };

	nlmsg_begin(m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &f, sizeof f);
	nlmsg_put(m, RTA_GATEWAY, gateway->b, address_size(gateway));
	nlmsg_u32(m, RTA_OIF, (uint32_t)index);
}

/* /proc/sys/net is that of whoever opens it. */
static void forbid_v6(const struct link_sockets *s, const char *name)
{
	AUTO_FD int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (own < 0 || setns(s->netns, CLONE_NEWNET) < 0)
		return;
	link_sysctl("1", "ipv6/conf/%s/disable_ipv6", name);
	if (setns(own, CLONE_NEWNET) < 0)
		BUG("a thread cannot come back from a container's network namespace");
}

int link_cable(const struct link_sockets *s, const struct cable *c, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	int index, r;

	if (make_cable(s, c, e) < 0 || plug_in(s, c, e) < 0)
		return -1;
	if (!c->has_v6)
		forbid_v6(s, c->inside);
	index = index_of(s->inside, c->inside);
	if (index < 0)
		return err_sys(e, -index, "interface %s", c->inside);
	for (size_t i = 0; i < c->n; i++)
		add_address(&m, index, &c->addresses[i]);
	set_up(&m, index);
	for (size_t i = 0; i < c->n; i++)
		add_route(&m, index, &c->gateways[i]);
	r = nlmsg_send(&m, s->inside, NULL);
	return r < 0 ? err_sys(e, -r, "set up interface %s", c->inside) : 0;
}

int link_remove(const struct link_sockets *s, const char *outside, struct err *e)
{
	AUTO_NLMSG struct nlmsg m = NLMSG_INIT;
	int index = index_of(s->host, outside), r;

	if (index < 0)
		return 0;
	const struct ifinfomsg f = { .ifi_index = index };

	nlmsg_begin(&m, RTM_DELLINK, 0, &f, sizeof f);
	r = nlmsg_send(&m, s->host, NULL);
	return r < 0 && r != -ENODEV ? err_sys(e, -r, "remove interface %s", outside) : 0;
}

/* --- what the host's routes take --- */

struct search {
	const struct subnet *net;
	int but; /* interface */
	bool is_taken;
};

static void look_at(const struct nlmsghdr *h, struct search *s)
{
	const struct rtmsg *r = NLMSG_DATA(h);
	size_t n = h->nlmsg_len - NLMSG_LENGTH(sizeof *r);
	struct subnet there = { .net.family = r->rtm_family, .prefix = r->rtm_dst_len };
	int index = 0;

	if (r->rtm_family != s->net->net.family || !r->rtm_dst_len || r->rtm_type == RTN_LOCAL ||
	    r->rtm_type == RTN_BROADCAST || r->rtm_type == RTN_MULTICAST)
		return;
	for (const struct rtattr *a = RTM_RTA(r); RTA_OK(a, n); a = RTA_NEXT(a, n)) {
		if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) <= 16)
			memcpy(there.net.b, RTA_DATA(a), RTA_PAYLOAD(a));
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof index)
			memcpy(&index, RTA_DATA(a), sizeof index);
	}
	if (index != s->but && subnet_overlaps(&there, s->net))
		s->is_taken = true;
}

/* 1: there is more. */
static int read_routes(const char *buf, size_t n, struct search *s)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return 0;
		if (h->nlmsg_type == RTM_NEWROUTE &&
		    h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
			look_at(h, s);
	}
	return 1;
}

int link_is_taken(const struct link_sockets *s, const struct subnet *net, const char *bridge,
		  bool *ret, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct rtmsg r;
	} req = { .h = { .nlmsg_len = sizeof req,
			 .nlmsg_type = RTM_GETROUTE,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		  .r = { .rtm_family = (uint8_t)net->net.family } };
	AUTO_FREE char *buf = xmalloc(64 << 10);
	struct search search = { .net = net, .but = index_of(s->host, bridge) };
	int more = 1;

	if (send(s->host, &req, sizeof req, MSG_NOSIGNAL) < 0)
		return err_sys(e, errno, "ask for the host's routes");
	while (more) {
		ssize_t n = recv(s->host, buf, 64 << 10, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read the host's routes");
		more = read_routes(buf, (size_t)n, &search);
	}
	*ret = search.is_taken;
	return 0;
}
