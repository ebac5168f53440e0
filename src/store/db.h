/* One LMDB environment: transactions, keys, gets, puts and walks.
 *
 * Readers see the database as it was when they began and wait for nobody (MDB_NOTLS: a reader may
 * move between threads); writers come one after the other.  The map grows by itself: a write
 * transaction that finds it full is run again on a larger one, so its function must start from
 * nothing each time.  The sentence of a full disk is `…: no space left on device`. */
#pragma once

#include "base/err.h"
#include "store/schema.h"

#include <lmdb.h>
#include <stdbool.h>

struct db;

int db_open(const char *path, struct db **ret, struct err *e); /* path: a directory, made 0700 */
int db_open_sized(const char *path, size_t map, struct db **ret, struct err *e); /* for tests */
void db_close(struct db *db);

struct txn {
	struct db *db;
	MDB_txn *mdb;
	bool is_write, is_map_full;
	bool is_cut_short; /* of a commit, by EIO: worth a second attempt */
};

/* A read transaction: short, ended by db_read_end(). */
int db_read(struct db *db, struct txn *ret, struct err *e);
void db_read_end(struct txn *t); /* safe on a zeroed one */

/* Runs fn in a write transaction and commits, durably, if it returns 0 or more (passed on); nothing
 * is changed otherwise.  Writers that come while another is being committed go together into the
 * next transaction, one after the other: the disk is waited for once.  So fn may run more than
 * once, each time from the start, on another writer's thread, and must not wait for anything. */
typedef int db_write_fn(struct txn *t, void *arg, struct err *e);
int db_write(struct db *db, db_write_fn *fn, void *arg, struct err *e);
int db_write_quietly(struct db *db, db_write_fn *fn, void *arg, struct err *e); /* unreported */

/* told(arg) after each commit, on its thread.  Set before the database has other users. */
void db_on_write(struct db *db, void (*told)(void *arg), void *arg);

/* Keys: names joined by NUL, long ones hashed (schema.h). */
struct key {
	unsigned char bytes[511];
	size_t n;
};
#define KEY(...) db_key((const char *const[]){ __VA_ARGS__, NULL })
struct key db_key(const char *const *names);
struct key db_prefix(const char *const *names); /* with a NUL behind the last: what lies below */
#define PREFIX(...) db_prefix((const char *const[]){ __VA_ARGS__, NULL })

/* 1 found (bytes borrowed until the transaction writes or ends), 0 absent, -1 failed. */
int db_get(struct txn *t, enum table table, const struct key *k, MDB_val *ret, struct err *e);
int db_put(struct txn *t, enum table table, const struct key *k, const void *p, size_t n,
	   struct err *e);
int db_del(struct txn *t, enum table table, const struct key *k, struct err *e); /* 1, 0, -1 */

/* Each entry whose key begins with prefix, in order.  visit returns 0 to go on; anything else ends
 * the walk and is passed on.  It may read, and change other tables, but not this one. */
typedef int db_visit(struct txn *t, const MDB_val *key, const MDB_val *value, void *arg,
		     struct err *e);
int db_walk(struct txn *t, enum table table, const struct key *prefix, db_visit *visit, void *arg,
	    struct err *e);
