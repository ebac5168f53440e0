/* The daemon's half of a transfer: answers what its worker asks for.  Nothing the worker says is
 * believed: ids are looked up, names and digests go through the store's own checks. */
#pragma once

#include "base/str.h"
#include "image/channel.h"
#include "image/transfer.h"

enum { SERVE_INGESTS = 16 };

struct served_snapshot {
	char *snapshotter, *key, *parent;
	struct served_snapshot *next;
};

/* The last config that was found to be one whose layers may become snapshots. */
struct served_image {
	struct arena *arena;
	const char *manifest, *config; /* digests */
	const char **chains;
	size_t n;
};

struct session {
	int pidfd; /* of the worker; -1 once it is reaped */
	const struct transfer_job *job;
	int sock;
	struct arena *arena; /* of one request */
	struct ingest *ingests[SERVE_INGESTS];
	struct strv verified; /* digests that may come in */
	struct served_snapshot *active; /* prepared, neither committed nor removed */
	struct served_image image;
};

/* One packet of the worker.  1: the last word has come: *ret_result (in a) or *e for "fail"; 0: go
 * on; -1: the worker broke the protocol or is gone. */
int serve_packet(struct session *s, struct channel_packet *p, struct arena *a,
		 struct transfer_result *ret_result, bool *ret_failed, struct err *e);

/* Closes what the worker left open (its bytes stay for a resume) and removes half-made snapshots.
 */
void session_end(struct session *s);

/* grant.c: may this become the snapshot `name` on `parent`?  A chain id says what is in a snapshot,
 * and everybody who has the image takes it from there: the name must be one of an image of this
 * job, and of one that was let in where that is asked. */
struct grant_request {
	const char *snapshotter, *manifest, *config, *name, *parent;
};
int grant_snapshot(struct session *s, const struct grant_request *q, struct err *e);
