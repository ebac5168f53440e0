/* Bytes into the daemon's content store. */
#pragma once

#include "cmd/ctr/ctr.h"

struct blob_source {
	const char *ref; /* of the ingest: one that was broken off is gone on with */
	int fd; /* read to its end; borrowed */
	uint64_t size; /* 0: whatever comes */
	const char *expected; /* digest, "" or NULL: any */
	const struct labels *labels; /* may be NULL */
};

/* A blob that is there already is fine.  *ret_digest, in the arena, may be NULL. */
int blob_write(struct ctr *ctr, const struct blob_source *from, const char **ret_digest,
	       struct err *e);

/* A file without a name, to put bytes into and read them again. */
int blob_scratch(int *ret_fd, struct err *e);

/* All bytes of a blob into fd. */
int blob_copy(struct ctr *ctr, const char *digest, int fd, struct err *e);
