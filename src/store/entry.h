/* What the record files share: records by key, and the two things every new object touches (its
 * namespace, its lease).  What takes a txn runs inside the caller's transaction. */
#pragma once

#include "base/mem.h"
#include "store/db.h"
#include "store/record.h"

#include <time.h>

struct timespec entry_now(void); /* CLOCK_REALTIME */

/* 1 found, 0 absent, -1. */
int entry_get(struct txn *t, enum table table, const struct key *k, const struct rec_field *fields,
	      struct arena *a, void *record, struct err *e);
int entry_put(struct txn *t, enum table table, const struct key *k, const struct rec_field *fields,
	      const void *record, struct err *e);
int entry_has(struct txn *t, enum table table, const struct key *k, struct err *e); /* 1, 0, -1 */

/* The first key with this prefix exists: 1, 0, -1. */
int entry_has_below(struct txn *t, enum table table, const struct key *prefix, struct err *e);

/* Deletes all keys with this prefix. */
int entry_delete_below(struct txn *t, enum table table, const struct key *prefix, struct err *e);

/* In a read transaction of their own: one record (1, 0, -1), and all whose keys have the prefix,
 * each `size` bytes, in a. */
struct entries {
	void **v;
	size_t n;
};
int entry_read(struct db *db, enum table table, const struct key *k, const struct rec_field *fields,
	       struct arena *a, void *record, struct err *e);
int entry_list(struct db *db, enum table table, const struct key *prefix,
	       const struct rec_field *fields, size_t size, struct arena *a, struct entries *ret,
	       struct err *e);

int namespace_ensure(struct txn *t, const char *ns, struct err *e);

/* The namespaces whose label says this. */
int namespace_find(struct txn *t, const char *label, const char *value, struct strv *ret,
		   struct err *e);
/* lease NULL or "": nothing to do. */
int lease_join(struct txn *t, const char *ns, const char *lease, const char *type, const char *id,
	       struct err *e);
/* The lease and its items: 1, 0 (there was none), -1. */
int lease_forget(struct txn *t, const char *ns, const char *id, struct err *e);
int lease_leave(struct txn *t, const char *ns, const char *lease, const char *type, const char *id,
		struct err *e);
