/* What daemon and transfer worker say to each other: one JSON object a packet, with descriptors.
 *
 * A SOCK_SEQPACKET pair keeps packets whole.  The daemon's first packet is the job; from then on
 * the worker speaks: requests {"op":…} which are answered one by one in order with {…} or
 * {"error":{code,errnum,msg}}, and notices ("progress", "sync") which are not answered.  The last
 * is "done" or "fail".  Both ends check every field: to the daemon the worker is a process that
 * has read hostile bytes. */
#pragma once

#include "base/jsonr.h"
#include "base/jsonw.h"

enum {
	CHANNEL_MAX = 160 * 1024, /* below the kernel's default socket buffer */
	CHANNEL_FDS = 250, /* below SCM_MAX_FD */
};

/* Both ends close-on-exec. -errno. */
int channel_pair(int ret[2]);

/* ERR_UNAVAILABLE when the other end is gone. */
int channel_send(int sock, const struct str *json, const int *fds, size_t n_fds, struct err *e);

struct channel_packet {
	json_object *json;
	int fds[CHANNEL_FDS];
	size_t n_fds;
};

/* 1 and a packet, which channel_packet_done() ends (descriptors left in it are closed); 0 when the
 * other end is gone; -1. */
int channel_recv(int sock, struct channel_packet *ret, struct err *e);
void channel_packet_done(struct channel_packet *p);
#define AUTO_PACKET CLEANUP(channel_packet_done)

/* The i-th descriptor, now the caller's; -1 when there is none. */
int channel_take_fd(struct channel_packet *p, size_t i);

/* "error":{…} as a member of the object being written; and back (1: there was one, *e filled). */
void channel_write_err(struct jsonw *w, const struct err *from);
int channel_read_err(json_object *o, struct err *e);
