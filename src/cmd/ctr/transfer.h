/* One Transfer call with its side streams: progress, credentials, bytes of an archive. */
#pragma once

#include "cmd/ctr/ctr.h"

typedef Containerd__Types__Transfer__ImageStore ImageStore;

struct credentials {
	const char *user, *secret, *refresh; /* NULL: none */
};

struct transfer;

/* Where the daemon has no such service, the first call that opens a stream fails and sets
 * ctr->no_transfer; nothing was read or written by then. */
int transfer_new(struct ctr *ctr, struct transfer **ret, struct err *e);
void transfer_free(struct transfer *t); /* NULL is fine */
static inline void transfer_freep(struct transfer **t)
{
	transfer_free(*t);
}
#define AUTO_TRANSFER CLEANUP(transfer_freep)

/* A stream that answers the daemon's questions for credentials. *ret_id: for RegistryResolver. */
int transfer_offer_credentials(struct transfer *t, const struct credentials *c, const char **ret_id,
			       struct err *e);

/* A stream that sends fd's bytes up to its end (fd is borrowed). */
int transfer_offer_bytes(struct transfer *t, int fd, const char **ret_id, struct err *e);

/* A stream whose bytes are written to fd (borrowed) until it ends. */
int transfer_take_bytes(struct transfer *t, int fd, const char **ret_id, struct err *e);

/* The call itself: until it has ended. source and destination are messages of the transfer types.
 */
int transfer_run(struct transfer *t, const void *source, const void *destination, struct err *e);

/* message as an Any under its full name; in the arena. */
Google__Protobuf__Any *any_pack(struct arena *a, const void *message);
