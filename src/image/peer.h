/* The worker's end of the channel: what it may ask the daemon for.  Any thread of the worker may
 * call; one request at a time crosses the channel. */
#pragma once

#include "image/channel.h"
#include "image/sigstore.h"
#include "image/transfer.h"

#include <pthread.h>

struct peer {
	int sock;
	pthread_mutex_t lock;
};

void peer_init(struct peer *p, int sock);

struct peer_blob {
	bool exists;
	uint64_t size;
	struct labels labels; /* in the arena given */
};
int peer_blob_info(struct peer *p, struct arena *a, const char *digest, struct peer_blob *ret,
		   struct err *e);
int peer_blob_open(struct peer *p, const char *digest, int *ret_fd, struct err *e);
/* Adds these labels to the blob's. */
int peer_blob_label(struct peer *p, const char *digest, const struct labels *labels, struct err *e);

/* A file that grows.  fd is -1 when the blob was there already. */
struct peer_ingest {
	int fd;
	uint64_t id, offset;
};
int peer_ingest_open(struct peer *p, const char *ref, uint64_t total, const char *digest,
		     struct peer_ingest *ret, struct err *e);
/* The daemon hashes what has come meanwhile: the commit waits for less. */
void peer_ingest_sync(struct peer *p, const struct peer_ingest *in);
/* Ends it.  digest "" takes what the bytes have; ret_digest may be NULL. */
int peer_ingest_commit(struct peer *p, struct peer_ingest *in, uint64_t size, const char *digest,
		       const struct labels *labels, char ret_digest[136], struct err *e);
/* Ends it without a blob; the bytes stay for a resume, or go. */
void peer_ingest_close(struct peer *p, struct peer_ingest *in, bool keep);

int peer_snapshot_exists(struct peer *p, const char *snapshotter, const char *name, bool *ret,
			 struct err *e);
/* *ret_exists: the wanted committed snapshot is there already; nothing was prepared. */
int peer_snapshot_prepare(struct peer *p, const char *snapshotter, const char *key,
			  const char *parent, const char *target, bool *ret_exists, struct err *e);
/* Descriptors: upper, then lowers top-most first.  The packet owns them. */
int peer_snapshot_dirs(struct peer *p, const char *snapshotter, const char *key,
		       struct channel_packet *ret, bool *ret_overlay, struct err *e);
/* On parent, where it was prepared on none ("": on what it was prepared on).  Its files are on the
 * disk already: the daemon answers one request at a time, and must not wait for the disk in one. */
struct peer_commit {
	const char *snapshotter, *name, *key, *parent;
	const char *manifest, *config; /* digests: whose layer it is */
};
int peer_snapshot_commit(struct peer *p, const struct peer_commit *c, struct err *e);
void peer_snapshot_remove(struct peer *p, const char *snapshotter, const char *key);

void peer_progress(struct peer *p, const struct transfer_progress *what);
/* May this image come in?  With the signatures that were found. */
enum { PEER_SIGNATURES = 16 };
struct peer_verdict {
	const char *name;
	const struct oci_descriptor *target;
	struct sigstore_signature v[PEER_SIGNATURES];
	size_t n;
};
int peer_verify(struct peer *p, const struct peer_verdict *q, struct err *e);
int peer_auth(struct peer *p, struct arena *a, const char *host,
	      const char *const *www_authenticate, struct transfer_credentials *ret, struct err *e);

/* The last word. */
int peer_done(struct peer *p, const struct transfer_result *r, struct err *e);
void peer_fail(struct peer *p, const struct err *why);
