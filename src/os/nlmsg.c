#include "os/nlmsg.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { REPLY_MAX = 64 << 10, REPLY_SECONDS = 30 };

void nlmsg_done(struct nlmsg *m)
{
	str_done(&m->bytes);
}

static void pad(struct nlmsg *m)
{
	static const char zeros[NLMSG_ALIGNTO];

	str_addn(&m->bytes, zeros, NLMSG_ALIGN(m->bytes.len) - m->bytes.len);
}

static void set_message_length(struct nlmsg *m)
{
	uint32_t n = (uint32_t)(m->bytes.len - m->at);

	memcpy(m->bytes.ptr + m->at, &n, sizeof n);
}

static void begin(struct nlmsg *m, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
	const struct nlmsghdr h = { .nlmsg_type = type,
				    .nlmsg_flags = flags,
				    .nlmsg_seq = ++m->seq };

	m->at = m->bytes.len;
	str_addn(&m->bytes, &h, sizeof h);
	nlmsg_raw(m, fixed, n);
}

void nlmsg_begin(struct nlmsg *m, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
	begin(m, type, (uint16_t)(flags | NLM_F_REQUEST | NLM_F_ACK), fixed, n);
}

void nlmsg_begin_no_ack(struct nlmsg *m, uint16_t type, const void *fixed, size_t n)
{
	begin(m, type, NLM_F_REQUEST, fixed, n);
}

void nlmsg_raw(struct nlmsg *m, const void *data, size_t n)
{
	str_addn(&m->bytes, data, n);
	pad(m);
	if (!m->bytes.over)
		set_message_length(m);
}

void nlmsg_put(struct nlmsg *m, uint16_t type, const void *data, size_t n)
{
	const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type };

	if (n > UINT16_MAX - NLA_HDRLEN)
		BUG("a netlink attribute is too long");
	str_addn(&m->bytes, &a, sizeof a);
	nlmsg_raw(m, data, n);
}

void nlmsg_text(struct nlmsg *m, uint16_t type, const char *s)
{
	nlmsg_put(m, type, s, strlen(s) + 1);
}

void nlmsg_u32(struct nlmsg *m, uint16_t type, uint32_t v)
{
	nlmsg_put(m, type, &v, sizeof v);
}

void nlmsg_be64(struct nlmsg *m, uint16_t type, uint64_t v)
{
	v = htobe64(v);
	nlmsg_put(m, type, &v, sizeof v);
}

void nlmsg_be32(struct nlmsg *m, uint16_t type, uint32_t v)
{
	nlmsg_u32(m, type, htonl(v));
}

size_t nlmsg_nest(struct nlmsg *m, uint16_t type)
{
	size_t nest = m->bytes.len;

	nlmsg_put(m, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void nlmsg_end_nest(struct nlmsg *m, size_t nest)
{
	size_t n = m->bytes.len - nest;
	uint16_t len = (uint16_t)n;

	if (m->bytes.over)
		return;
	if (n > UINT16_MAX)
		BUG("a netlink attribute is too long");
	memcpy(m->bytes.ptr + nest, &len, sizeof len);
}

int nlmsg_open(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	const struct timeval limit = { .tv_sec = REPLY_SECONDS };
	int big = REPLY_MAX * 16;

	if (fd < 0)
		return -errno;
	/* best effort, both: the kernel answers at once, and one packet has few messages */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
	return fd;
}

void nlmsg_want_ack(struct nlmsg *m, bool wanted)
{
	struct nlmsghdr h;

	if (m->bytes.over)
		return;
	memcpy(&h, m->bytes.ptr + m->at, sizeof h);
	h.nlmsg_flags = (uint16_t)((h.nlmsg_flags & ~NLM_F_ACK) | (wanted ? NLM_F_ACK : 0));
	memcpy(m->bytes.ptr + m->at, &h, sizeof h);
}

static uint32_t count_acks(const struct nlmsg *m)
{
	const struct nlmsghdr *h = (const void *)m->bytes.ptr;
	size_t left = m->bytes.len;
	uint32_t n = 0;

	for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		n += !!(h->nlmsg_flags & NLM_F_ACK);
	return n;
}

struct answers {
	uint32_t left;
	int error; /* the first one, -errno */
	uint32_t seq; /* of it */
};

static void read_answers(const char *buf, size_t n, struct answers *a)
{
	const struct nlmsghdr *h = (const void *)buf;

	for (; NLMSG_OK(h, n) && a->left; h = NLMSG_NEXT(h, n)) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof *e))
			continue;
		a->left--;
		if (e->error && !a->error) {
			a->error = e->error;
			a->seq = h->nlmsg_seq;
		}
	}
}

/* A batch of nf_tables that failed is answered for its bad messages alone. */
static int receive(int sock, struct answers *a)
{
	_Alignas(struct nlmsghdr) char buf[8192];

	while (a->left && !a->error) {
		ssize_t n = recv(sock, buf, sizeof buf, 0);

		/* ENOBUFS: of many answers the later ones had no room; the first are there */
		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (n < 0)
			return -errno;
		read_answers(buf, (size_t)n, a);
	}
	return a->error;
}

static int send_all(const struct nlmsg *m, int sock)
{
	int size = (int)m->bytes.len * 2; /* with what the kernel adds */
	ssize_t n;

	if (m->bytes.over)
		return -EMSGSIZE;
	if (m->bytes.len > NLMSG_PACKET_USUAL) /* else send() says that it is too long */
		(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	do
		n = send(sock, m->bytes.ptr, m->bytes.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int nlmsg_send(struct nlmsg *m, int sock, uint32_t *ret_seq)
{
	struct answers a = { .left = count_acks(m) };
	int r = send_all(m, sock);

	if (r == 0)
		r = receive(sock, &a);
	if (ret_seq)
		*ret_seq = a.seq;
	str_reset(&m->bytes);
	m->at = 0;
	m->seq = 0;
	return r;
}

ssize_t nlmsg_ask(struct nlmsg *m, int sock, void *buf, size_t n)
{
	const struct nlmsghdr *h = buf;
	const struct nlmsgerr *e = NLMSG_DATA(h);
	ssize_t got;
	int r;

	nlmsg_want_ack(m, false);
	r = send_all(m, sock);
	str_reset(&m->bytes);
	m->at = 0;
	m->seq = 0;
	if (r < 0)
		return r;
	do
		got = recv(sock, buf, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (!NLMSG_OK(h, (size_t)got))
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR)
		return h->nlmsg_len >= NLMSG_LENGTH(sizeof *e) && e->error ? e->error : -EBADMSG;
	return (ssize_t)h->nlmsg_len;
}

const void *nlmsg_find(const void *attributes, size_t n, uint16_t type, size_t *ret_n)
{
	const char *p = attributes;

	while (n >= NLA_HDRLEN) {
		struct nlattr a;

		memcpy(&a, p, sizeof a);
		if (a.nla_len < NLA_HDRLEN || a.nla_len > n)
			break;
		if ((a.nla_type & NLA_TYPE_MASK) == type) {
			*ret_n = a.nla_len - NLA_HDRLEN;
			return p + NLA_HDRLEN;
		}
		size_t step = (size_t)NLA_ALIGN(a.nla_len);

		if (step > n)
			break;
		p += step;
		n -= step;
	}
	*ret_n = 0;
	return NULL;
}
