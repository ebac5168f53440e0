/* What an open ingest is made of; for ingest.c, commit.c and the sweep. */
#pragma once

#include "store/content.h"
#include "store/content_dir.h"

#include <time.h>

struct ingest {
	struct store *s;
	char *ns, *lease, *expected;
	char *key; /* "NS/REF"; ref points into it */
	const char *ref;
	char hash[SHA256_HEX + 1]; /* the directory's name */
	int dirfd, fd; /* -1, -1: shared */
	uint64_t size; /* bytes in the file as far as we know */
	uint64_t hashed; /* of these in sum */
	uint64_t total;
	struct timespec started, updated;
	struct sha256 sum;
	bool is_shared; /* another namespace has the blob: complete without a file */
	bool is_dropped; /* remove on close */
};

void ingest_hash(const char *key, char ret[SHA256_HEX + 1]);

/* The status of the directory `name` (a HASH); *ret_key is "NS/REF".  1, 0 (going away, or no
 * ingest), -1. */
int ingest_read(struct content_dir *d, const char *name, struct arena *a, struct ingest_status *ret,
		const char **ret_key, struct err *e);

/* Drops the bytes and starts from zero. */
int ingest_reset(struct ingest *in, struct err *e);

/* size and total of a shared ingest from the other namespace's blob. */
int ingest_adopt_size(struct ingest *in, struct err *e);
