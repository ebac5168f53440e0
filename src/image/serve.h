/* The daemon's half of a transfer: answers what its worker asks for.  Nothing the worker says is
 * believed: ids are looked up, names and digests go through the store's own checks. */
#pragma once

#include "image/channel.h"
#include "image/transfer.h"

enum { SERVE_INGESTS = 16 };

struct served_snapshot {
	char *snapshotter, *key;
	struct served_snapshot *next;
};

struct session {
	int pidfd; /* of the worker; -1 once it is reaped */
	const struct transfer_job *job;
	int sock;
	struct arena *arena; /* of one request */
	struct ingest *ingests[SERVE_INGESTS];
	char verified[136]; /* digest of what may be pulled; "": nothing yet */
	struct served_snapshot *active; /* prepared, neither committed nor removed */
};

/* One packet of the worker.  1: the last word has come: *ret_result (in a) or *e for "fail"; 0: go
 * on; -1: the worker broke the protocol or is gone. */
int serve_packet(struct session *s, struct channel_packet *p, struct arena *a,
		 struct transfer_result *ret_result, bool *ret_failed, struct err *e);

/* Closes what the worker left open (its bytes stay for a resume) and removes half-made snapshots.
 */
void session_end(struct session *s);
