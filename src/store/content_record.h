/* The records behind content.h, for the files of this folder: to be called inside a transaction. */
#pragma once

#include "store/content.h"
#include "store/content_dir.h"
#include "store/db.h"

struct blob_record {
	uint64_t size, namespaces;
};

int content_check_digest(const char *digest, struct err *e);

int content_has(struct txn *t, const char *ns, const char *digest, struct err *e); /* 1, 0, -1 */
int blob_get(struct txn *t, const char *digest, struct blob_record *ret, struct err *e);

/* May any namespace have it without bringing its bytes?  1, 0, -1. */
int content_is_shared(struct txn *t, const struct content_dir *d, const char *digest,
		      struct blob_record *ret, struct err *e);

struct content_new {
	const char *ns, *lease, *digest;
	uint64_t size;
	const struct labels *labels;
};

/* The namespace's record for a blob whose file is there (hold content.commit): 0 made, 1 ns had it
 * already (only the lease is joined), -1. */
int content_add(struct txn *t, const struct content_new *n, struct err *e);

/* Removes it: 1, 0 (there was none), -1. */
int content_forget(struct txn *t, const char *ns, const char *digest, struct err *e);
