/* Netlink messages with nested attributes, several to a packet, and their acknowledgements.  For
 * the small fixed requests of a container's start os/netlink.h is enough. */
#pragma once

#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* As much as a socket takes without being asked; at most. */
enum { NLMSG_PACKET_USUAL = 64 << 10, NLMSG_PACKET_MAX = 1 << 20 };

struct nlmsg {
	struct str bytes; /* the packet */
	size_t at; /* of the message being made */
	uint32_t seq; /* of the last message */
};
#define NLMSG_INIT ((struct nlmsg){ .bytes = STR_INIT(NLMSG_PACKET_MAX) })
void nlmsg_done(struct nlmsg *m);
#define AUTO_NLMSG CLEANUP(nlmsg_done)

/* A message behind the ones before; NLM_F_REQUEST and NLM_F_ACK are added to flags unless no_ack.
 */
void nlmsg_begin(struct nlmsg *m, uint16_t type, uint16_t flags, const void *fixed, size_t n);
void nlmsg_begin_no_ack(struct nlmsg *m, uint16_t type, const void *fixed, size_t n);

void nlmsg_put(struct nlmsg *m, uint16_t type, const void *data, size_t n);
void nlmsg_text(struct nlmsg *m, uint16_t type, const char *s); /* with its NUL */
void nlmsg_u32(struct nlmsg *m, uint16_t type, uint32_t v);
void nlmsg_be32(struct nlmsg *m, uint16_t type, uint32_t v); /* as nf_tables has its numbers */

void nlmsg_be64(struct nlmsg *m, uint16_t type, uint64_t v);

/* A nest is open from begin to end; what begin returns is where it is. */
size_t nlmsg_nest(struct nlmsg *m, uint16_t type);
void nlmsg_end_nest(struct nlmsg *m, size_t nest);
/* Bytes without a header of their own, aligned: VETH_INFO_PEER begins with a struct. */
void nlmsg_raw(struct nlmsg *m, const void *data, size_t n);

/* Of the last message: many of a kind need one acknowledgement, for a failure is told in any case.
 */
void nlmsg_want_ack(struct nlmsg *m, bool wanted);

int nlmsg_open(int protocol); /* NETLINK_ROUTE, NETLINK_NETFILTER; -errno */

/* Sends the packet and reads the acknowledgement of each message that asked for one: 0, or the
 * first -errno, and *ret_seq (or NULL) is then the number of its message, from 1.  The packet is
 * empty afterwards.  -EMSGSIZE: it outgrew NLMSG_PACKET_MAX. */
int nlmsg_send(struct nlmsg *m, int sock, uint32_t *ret_seq);

/* The same for one question: its answer's bytes in buf, which is aligned for a nlmsghdr; -errno. */
ssize_t nlmsg_ask(struct nlmsg *m, int sock, void *buf, size_t n);

/* What an attribute among these holds; NULL: it is not there. */
const void *nlmsg_find(const void *attributes, size_t n, uint16_t type, size_t *ret_n);
