#include "os/netlink.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 512, REPLY_MAX = 32 << 10, ADDRESSES_MAX = 4096 };

struct request {
	_Alignas(struct nlmsghdr) char bytes[REQUEST_MAX];
};

static struct nlmsghdr *head_of(struct request *r)
{
	return (struct nlmsghdr *)(void *)r->bytes;
}

/* The fixed part behind the header. */
static void begin(struct request *r, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
	struct nlmsghdr *h = head_of(r);

	*r = (struct request){ 0 };
	h->nlmsg_len = NLMSG_LENGTH((uint32_t)n);
	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = 1;
	memcpy(NLMSG_DATA(h), fixed, n);
}

static void add(struct request *r, uint16_t type, const void *data, size_t n)
{
	struct nlmsghdr *h = head_of(r);
	size_t at = NLMSG_ALIGN(h->nlmsg_len), len = RTA_LENGTH(n);

	if (at + RTA_ALIGN(len) > sizeof r->bytes)
		BUG("a netlink request outgrew its buffer");
	struct rtattr *a = (struct rtattr *)(void *)(r->bytes + at);
	a->rta_type = type;
	a->rta_len = (unsigned short)len;
	memcpy(RTA_DATA(a), data, n);
	h->nlmsg_len = (uint32_t)(at + RTA_ALIGN(len));
}

static int transmit(int sock, struct request *r)
{
	ssize_t n;

	do
		n = send(sock, r->bytes, head_of(r)->nlmsg_len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static ssize_t receive(int sock, void *buf, size_t n)
{
	ssize_t r;

	do
		r = recv(sock, buf, n, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	return h->nlmsg_len < NLMSG_LENGTH(sizeof *e) ? -EBADMSG : e->error;
}

static int call(int sock, struct request *r)
{
	_Alignas(struct nlmsghdr) char buf[1024];
	int sent = transmit(sock, r);

	if (sent < 0)
		return sent;
	ssize_t n = receive(sock, buf, sizeof buf);
	if (n < 0)
		return (int)n;
	const struct nlmsghdr *h = (const void *)buf;
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return error_of(h);
}

int netlink_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static int set_name(struct ifreq *r, const char *name)
{
	*r = (struct ifreq){ 0 };
	if (strlen(name) >= sizeof r->ifr_name)
		return -ENODEV;
	memcpy(r->ifr_name, name, strlen(name));
	return 0;
}

int netlink_index(int sock, const char *name)
{
	struct ifreq r;

	if (set_name(&r, name) < 0)
		return -ENODEV;
	return ioctl(sock, SIOCGIFINDEX, &r) < 0 ? -errno : r.ifr_ifindex;
}

int netlink_is_up(int sock, const char *name)
{
	struct ifreq r;

	if (set_name(&r, name) < 0)
		return -ENODEV;
	return ioctl(sock, SIOCGIFFLAGS, &r) < 0 ? -errno : !!(r.ifr_flags & IFF_UP);
}

int netlink_set_up(int sock, const char *name, bool up)
{
	struct ifreq r;

	if (set_name(&r, name) < 0)
		return -ENODEV;
	if (ioctl(sock, SIOCGIFFLAGS, &r) < 0)
		return -errno;
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	return ioctl(sock, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
}

int netlink_move(int sock, int index, int netns, const char *new_name)
{
	struct ifinfomsg info = { .ifi_index = index };
	uint32_t fd = (uint32_t)netns;
	struct request r;

	begin(&r, RTM_NEWLINK, NLM_F_ACK, &info, sizeof info);
	add(&r, IFLA_IFNAME, new_name, strlen(new_name) + 1);
	add(&r, IFLA_NET_NS_FD, &fd, sizeof fd);
	return call(sock, &r);
}

static bool take(uint8_t to[16], const struct rtattr *a)
{
	size_t n = RTA_PAYLOAD(a);

	if (n > 16)
		return false;
	memcpy(to, RTA_DATA(a), n);
	return true;
}

static void read_address(const struct nlmsghdr *h, struct netlink_address *ret)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	size_t n = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);

	*ret = (struct netlink_address){ .family = m->ifa_family,
					 .prefix = m->ifa_prefixlen,
					 .scope = m->ifa_scope,
					 .flags = m->ifa_flags };
	for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, n); a = RTA_NEXT(a, n))
		switch (a->rta_type) {
		case IFA_LOCAL:
			ret->has_local = take(ret->local, a);
			break;
		case IFA_ADDRESS:
			ret->has_address = take(ret->address, a);
			break;
		case IFA_BROADCAST:
			ret->has_broadcast = take(ret->broadcast, a);
			break;
		case IFA_FLAGS:
			if (RTA_PAYLOAD(a) == sizeof ret->flags)
				memcpy(&ret->flags, RTA_DATA(a), sizeof ret->flags);
			break;
		default:
			break;
		}
}

struct address_list {
	struct netlink_address *v;
	size_t n, cap;
};

/* 1: there is more to come. */
static int read_part(const char *buf, size_t n, int index, struct address_list *l)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		const struct ifaddrmsg *m = NLMSG_DATA(h);

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR)
			return error_of(h);
		if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof *m) ||
		    m->ifa_index != (uint32_t)index)
			continue;
		if (l->n == ADDRESSES_MAX)
			return -E2BIG;
		GROW(l->v, l->n, l->cap);
		read_address(h, &l->v[l->n++]);
	}
	return 1;
}

int netlink_addresses(int sock, int index, struct netlink_address **ret, size_t *ret_n)
{
	AUTO_FREE char *buf = xmalloc(REPLY_MAX);
	struct ifaddrmsg m = { .ifa_family = AF_UNSPEC };
	struct address_list l = { 0 };
	struct request r;

	begin(&r, RTM_GETADDR, NLM_F_DUMP, &m, sizeof m);
	int more = transmit(sock, &r);
	for (more = more < 0 ? more : 1; more > 0;) {
		ssize_t n = receive(sock, buf, REPLY_MAX);

		more = n < 0 ? (int)n : read_part(buf, (size_t)n, index, &l);
	}
	if (more < 0) {
		free(l.v);
		return more;
	}
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

int netlink_add_address(int sock, int index, const struct netlink_address *a)
{
	struct ifaddrmsg m = { .ifa_family = a->family,
			       .ifa_prefixlen = a->prefix,
			       .ifa_scope = a->scope,
			       .ifa_index = (uint32_t)index };
	size_t n = a->family == AF_INET ? 4 : 16;
	struct request r;

	begin(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &m, sizeof m);
	if (a->has_local)
		add(&r, IFA_LOCAL, a->local, n);
	if (a->has_address)
		add(&r, IFA_ADDRESS, a->address, n);
	if (a->has_broadcast)
		add(&r, IFA_BROADCAST, a->broadcast, n);
	return call(sock, &r);
}
