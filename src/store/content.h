/* Content: blobs by digest.  Bytes come in through an ingest (a file that grows under a ref),
 * become a blob by commit (digest and size verified, fsync, rename, then the record), and belong
 * to a namespace by its record there.  The file is shared by all namespaces that have it: an
 * ingest whose expected digest another namespace has starts complete.
 *
 * A process may die at any byte: an ingest goes on where its file ends; a blob without a record
 * is removed at the next start. */
#pragma once

#include "store/label.h"
#include "store/store.h"

#include <time.h>

struct content_info {
	const char *digest;
	uint64_t size;
	struct labels labels;
	struct timespec created, updated;
};

struct ingest_status {
	const char *ref;
	const char *expected; /* digest, "" when unknown */
	uint64_t offset, total; /* total 0: unknown */
	struct timespec started, updated;
};

/* ERR_NOT_FOUND `content digest sha256:…`; ERR_INVALID_ARGUMENT for what is no digest. */
int content_info(struct store *s, const char *ns, struct arena *a, const char *digest,
		 struct content_info *ret, struct err *e);

/* Only labels change: mask labels, labels.KEY or none. */
int content_update(struct store *s, const char *ns, struct arena *a, const struct content_info *in,
		   const struct mask *mask, struct content_info *ret, struct err *e);

/* The record goes; the file goes with the next gc_run() if no namespace has it. */
int content_delete(struct store *s, const char *ns, const char *digest, struct err *e);

typedef int content_visit(const struct content_info *i, void *arg, struct err *e);
int content_walk(struct store *s, const char *ns, struct arena *a, content_visit *visit, void *arg,
		 struct err *e);

/* Read-only; the caller closes *ret_fd.  The bytes stay readable when the blob is deleted. */
int content_open(struct store *s, const char *ns, const char *digest, int *ret_fd,
		 uint64_t *ret_size, struct err *e);

/* The same where only size bytes (0: all) from there on are wanted: they begin at *ret_at of the
 * file.  *ret_total is the whole blob's size. */
int content_open_part(struct store *s, const char *ns, const char *digest, uint64_t from,
		      uint64_t size, int *ret_fd, uint64_t *ret_at, uint64_t *ret_total,
		      struct err *e);

/* Has any namespace this blob?  1, 0, -1. */
int content_is_stored(struct store *s, const char *digest, struct err *e);

/* Adopts a blob that exists in another namespace, as a commit would: 1 done, 0 nobody has it,
 * or it is not to be shared (store_options.isolate_content). */
int content_share(struct store *s, const char *ns, const char *lease, const char *digest,
		  const struct labels *labels, struct err *e);

/* --- writing ---
 * An open ingest holds its ref: a second open is ERR_UNAVAILABLE.  It belongs to one thread at a
 * time; ingest_close() frees it and leaves the bytes for a later open (resume). */
struct ingest;

/* ref must not be empty; total and expected may be 0 and NULL.  ERR_ALREADY_EXISTS
 * `content sha256:…` when ns has `expected` already. */
int ingest_open(struct store *s, const char *ns, const char *lease, const char *ref, uint64_t total,
		const char *expected, struct ingest **ret, struct err *e);
void ingest_close(struct ingest *in); /* NULL is fine */
void ingest_discard(struct ingest *in); /* closes, and removes the bytes, too */

/* Strings live as long as in. */
void ingest_get_status(const struct ingest *in, struct ingest_status *ret);

/* The digest of what was written so far ("sha256:…", 71 bytes and NUL). */
int ingest_digest(struct ingest *in, char ret[72], struct err *e);

/* Appends.  On a full disk (errnum ENOSPC) the ingest is dropped: its bytes are given back. */
int ingest_write(struct ingest *in, const void *p, size_t n, struct err *e);
int ingest_truncate(struct ingest *in, uint64_t size, struct err *e);

/* For a writer in another process: the data file, open for writing at the end; borrowed from in.
 * The writer appends there; ingest_sync() takes notice of (and hashes) what is there by now, so
 * that the commit finds little left to do. */
int ingest_fd(struct ingest *in, int *ret_fd, struct err *e);
int ingest_sync(struct ingest *in, struct err *e);

/* Verifies size (0: any) and digest (NULL or "": what ingest_open() was told, if anything), and
 * makes the blob.  After success, and after ERR_ALREADY_EXISTS (ns has it), the ingest is gone; in
 * must still be closed.  Too few bytes is ERR_FAILED_PRECONDITION and leaves them for a resume; too
 * many, or another digest, drops them, so that a retry starts from zero.  ret_digest may be NULL.
 */
int ingest_commit(struct ingest *in, uint64_t size, const char *digest, const struct labels *labels,
		  char ret_digest[72], struct err *e);

/* ERR_NOT_FOUND when there is none. */
int ingest_status(struct store *s, const char *ns, struct arena *a, const char *ref,
		  struct ingest_status *ret, struct err *e);
typedef int ingest_visit(const struct ingest_status *st, void *arg, struct err *e);
int ingest_list(struct store *s, const char *ns, struct arena *a, ingest_visit *visit, void *arg,
		struct err *e);

/* Removes an ingest and its bytes, even while it is open: then its commit fails. */
int ingest_abort(struct store *s, const char *ns, const char *ref, struct err *e);
