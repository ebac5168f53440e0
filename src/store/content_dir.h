/* The content store's directory, below the records of content.c:
 *
 *   blobs/ALGORITHM/HEX        whole blobs, 0444
 *   ingest/HASH/               HASH = SHA-256 of "NS/REF"
 *     data                     the bytes so far
 *     ref                      "NS/REF"
 *     startedat, updatedat     RFC 3339
 *     total                    decimal, when known
 *     leased                   empty: lives only as long as a lease that lists it
 *
 * A blob gets its record after it is durable; a file without one is garbage.  The mutex `commit` is
 * held around "file and record" on both sides, making and removing, so that a collection can't take
 * a file from under a commit that found it there. */
#pragma once

#include "base/err.h"
#include "base/sha256.h"

#include <pthread.h>
#include <stdbool.h>

struct ref_lock;
struct store;

struct content_dir {
	int fd; /* of io.containerd.content.v1.content */
	pthread_mutex_t commit;
	pthread_mutex_t refs_lock;
	struct ref_lock *refs; /* the open ingests */
	const struct content_proxy *proxy; /* where the bytes are instead; or NULL */
	bool is_isolated; /* what another namespace has is not given away */
	pthread_mutex_t uploads_lock; /* guards uploads; held for no call and no transaction */
	pthread_cond_t uploads_changed;
	struct remote_upload *uploads; /* what is being written and removed there */
};

int content_dir_open(struct content_dir *d, const char *root, const struct content_proxy *proxy,
		     struct err *e);
void content_dir_close(struct content_dir *d);

/* "blobs/sha256/…" in a buffer that holds any valid digest. */
enum { BLOB_PATH_MAX = 160 };
void content_blob_path(const char *digest, char ret[BLOB_PATH_MAX]);

/* Refs held by an open ingest; key is "NS/REF".  ERR_UNAVAILABLE when somebody has it. */
int ref_acquire(struct content_dir *d, const char *key, struct err *e);
void ref_release(struct content_dir *d, const char *key);

/* Removes blobs without a record and, at start-up, ingests that hold nothing; counts what went. */
int content_sweep_blobs(struct store *s, size_t *ret_removed, struct err *e);
int content_recover(struct store *s, struct err *e);

/* Ingests nobody holds: old ones, and leased ones whose lease is gone.  removed is told of each. */
typedef void ingest_removed(const char *ns, const char *ref, void *arg);
int content_sweep_ingests(struct store *s, ingest_removed *removed, void *arg, struct err *e);
