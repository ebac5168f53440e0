#include "store/db.h"

#include "base/mem.h"
#include "loop/trace.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/statvfs.h>

/* The map is address space, not memory or disk: large enough that growing is rare. */
enum { READERS_MAX = 512 };
static const size_t MAP_FIRST = (size_t)256 << 20;

struct db {
	char *path;
	size_t map_size; /* to open it with */
	MDB_env *env; /* NULL: could not be opened again */
	bool is_read_only; /* the file system was, when it was opened again */
	MDB_dbi tables[TABLE_COUNT];
	/* Held shared by every transaction, exclusively while the map grows or the environment is
	 * opened again: LMDB moves the map, and bytes handed out point into it. */
	pthread_rwlock_t map;
	void (*told)(void *arg); /* of commits; NULL: nobody */
	void *told_arg;
	pthread_mutex_t writers; /* guards what follows */
	pthread_cond_t is_written;
	struct write *waiting, **last;
	bool is_writing;
};

static const char *const table_names[TABLE_COUNT] = {
	[TABLE_META] = "meta",
	[TABLE_NAMESPACES] = "namespaces",
	[TABLE_IMAGES] = "images",
	[TABLE_CONTAINERS] = "containers",
	[TABLE_BLOBS] = "blobs",
	[TABLE_CONTENT] = "content",
	[TABLE_SNAPSHOTS] = "snapshots",
	[TABLE_LEASES] = "leases",
	[TABLE_LEASE_ITEMS] = "lease_items",
	[TABLE_SANDBOXES] = "sandboxes",
	[TABLE_ACTIVATIONS] = "activations",
};

/* LMDB's own codes are negative, the system's positive. */
static int mdb_fail(struct err *e, const struct db *db, int r, const char *step)
{
	if (r > 0)
		return err_sys(e, r, "metadata: %s %s", step, db->path);
	return err_set(e, ERR_INTERNAL, "metadata: %s %s: %s", step, db->path, mdb_strerror(r));
}

static int open_tables(struct db *db, unsigned flags, struct err *e)
{
	MDB_txn *t;
	int r = mdb_txn_begin(db->env, NULL, flags, &t);

	if (r)
		return mdb_fail(e, db, r, "begin");
	for (size_t i = 0; i < TABLE_COUNT && r == 0; i++)
		r = mdb_dbi_open(t, table_names[i], flags ? 0 : MDB_CREATE, &db->tables[i]);
	if (r) {
		mdb_txn_abort(t);
		return mdb_fail(e, db, r, "open tables");
	}
	r = mdb_txn_commit(t);
	return r ? mdb_fail(e, db, r, "create tables") : 0;
}

static void close_env(struct db *db)
{
	if (db->env)
		mdb_env_close(db->env);
	db->env = NULL;
}

/* flags: 0 or MDB_RDONLY */
static int open_env(struct db *db, unsigned flags, struct err *e)
{
	MDB_envinfo info;
	int dead = 0, r = mdb_env_create(&db->env);

	if (r == 0)
		r = mdb_env_set_maxdbs(db->env, TABLE_COUNT);
	if (r == 0)
		r = mdb_env_set_maxreaders(db->env, READERS_MAX);
	if (r == 0)
		r = mdb_env_set_mapsize(db->env, db->map_size);
	if (r == 0)
		r = mdb_env_open(db->env, db->path, MDB_NOTLS | flags, 0600);
	if (r == 0)
		r = mdb_reader_check(db->env, &dead); /* slots of a killed daemon */
	if (r == 0)
		r = mdb_env_info(db->env, &info);
	if (r == 0)
		db->map_size = info.me_mapsize; /* larger, where the file is */
	if (r)
		mdb_fail(e, db, r, "open");
	if (r || open_tables(db, flags, e) < 0) {
		close_env(db);
		return -1;
	}
	db->is_read_only = flags != 0;
	return 0;
}

/* Whether writing has a chance again: what an environment that was opened for reading asks first.
 */
static int try_to_write(const struct db *db, struct err *e)
{
	AUTO_FREE char *data = xasprintf("%s/data.mdb", db->path);
	AUTO_FD int fd = open(data, O_RDWR | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "metadata: open %s", data) : 0;
}

/* As good as it can be opened: for reading, on a file system that has become read-only. */
static int reopen_env(struct db *db, struct err *e)
{
	close_env(db);
	if (open_env(db, 0, e) == 0)
		return 0;
	if (e->errnum != EROFS)
		return -1;
	err_clear(e);
	return open_env(db, MDB_RDONLY, e);
}

/* After a failed write of its root page LMDB refuses everything, reads too (MDB_PANIC), until it is
 * opened again: then the last good root counts.  Without the lock of the map. */
static int revive(struct db *db, unsigned flags, struct err *e)
{
	MDB_txn *t;
	int r = 0;

	pthread_rwlock_wrlock(&db->map);
	bool may_do = db->env && (flags || !db->is_read_only);
	if (may_do && mdb_txn_begin(db->env, NULL, MDB_RDONLY, &t) == 0)
		mdb_txn_abort(t); /* another thread did it */
	else if (db->env && db->is_read_only && !flags && try_to_write(db, e) < 0)
		r = -1;
	else
		r = reopen_env(db, e);
	pthread_rwlock_unlock(&db->map);
	return r;
}

/* With the lock of the map held, shared; it may be let go of meanwhile.  flags: 0 or MDB_RDONLY. */
static int begin(struct db *db, unsigned flags, const char *step, MDB_txn **ret, struct err *e)
{
	for (bool is_again = false;; is_again = true) {
		bool is_wrong = !db->env || (!flags && db->is_read_only);
		int r = is_wrong ? MDB_PANIC : mdb_txn_begin(db->env, NULL, flags, ret);

		if (r != MDB_PANIC)
			return r ? mdb_fail(e, db, r, step) : 0;
		if (is_again)
			return mdb_fail(e, db, is_wrong ? EROFS : r, step);
		pthread_rwlock_unlock(&db->map);
		r = revive(db, flags, e);
		pthread_rwlock_rdlock(&db->map);
		if (r < 0)
			return -1;
	}
}

static void db_free(struct db *db)
{
	close_env(db);
	pthread_cond_destroy(&db->is_written);
	pthread_mutex_destroy(&db->writers);
	pthread_rwlock_destroy(&db->map);
	free(db->path);
	free(db);
}

int db_open_sized(const char *path, size_t map, struct db **ret, struct err *e)
{
	int r = file_mkdirs(path, 0700);

	if (r < 0)
		return err_sys(e, -r, "create %s", path);
	struct db *db = NEW(struct db);

	db->path = xstrdup(path);
	db->map_size = map;
	pthread_rwlock_init(&db->map, NULL);
	pthread_mutex_init(&db->writers, NULL);
	pthread_cond_init(&db->is_written, NULL);
	db->last = &db->waiting;
	if (open_env(db, 0, e) < 0) {
		db_free(db);
		return -1;
	}
	*ret = db;
	return 0;
}

int db_open(const char *path, struct db **ret, struct err *e)
{
	return db_open_sized(path, MAP_FIRST, ret, e);
}

void db_close(struct db *db)
{
	if (db)
		db_free(db);
}

int db_read(struct db *db, struct txn *ret, struct err *e)
{
	*ret = (struct txn){ .db = db };
	pthread_rwlock_rdlock(&db->map);
	if (begin(db, MDB_RDONLY, "begin read", &ret->mdb, e) < 0) {
		pthread_rwlock_unlock(&db->map);
		ret->mdb = NULL;
		return -1;
	}
	return 0;
}

void db_read_end(struct txn *t)
{
	if (!t->mdb)
		return;
	mdb_txn_abort(t->mdb);
	t->mdb = NULL;
	pthread_rwlock_unlock(&t->db->map);
}

/* --- writing: one transaction for all who come while the last one is being synced --- */

enum { GROUP_MAX = 64 };

/* A writer that waits; it lives on its thread's stack. */
struct write {
	db_write_fn *fn;
	void *arg;
	struct err *e;
	int result;
	bool has_ended; /* the result is there: the leader's to read and write */
	bool is_done; /* under db->writers: its thread may go */
	struct write *next;
};

/* LMDB says EIO for a write that took a part only, which is what a full disk does. */
static bool is_full(const struct db *db)
{
	enum { LITTLE = 1 << 20 };
	struct statvfs st;
	int fd;

	return mdb_env_get_fd(db->env, &fd) == 0 && fstatvfs(fd, &st) == 0 &&
	       st.f_bavail * st.f_frsize < LITTLE;
}

static int grow(struct db *db, struct err *e)
{
	int r;

	pthread_rwlock_wrlock(&db->map);
	r = db->env ? mdb_env_set_mapsize(db->env, db->map_size * 2) : MDB_PANIC;
	if (r == 0)
		db->map_size *= 2;
	pthread_rwlock_unlock(&db->map);
	return r ? mdb_fail(e, db, r, "grow the map") : 0;
}

/* One transaction of all that have no result yet.  Who fails is *ret_failed, with its own error;
 * NULL: the transaction failed, with e. */
static int attempt(struct txn *t, struct write *group, struct write **ret_failed, struct err *e)
{
	int r;

	*ret_failed = NULL;
	if (begin(t->db, 0, "begin write", &t->mdb, e) < 0)
		return -1;
	for (struct write *w = group; w; w = w->next) {
		if (w->has_ended)
			continue;
		w->result = w->fn(t, w->arg, w->e);
		if (w->result < 0 || t->is_map_full) {
			mdb_txn_abort(t->mdb);
			*ret_failed = w;
			return -1;
		}
	}
	r = mdb_txn_commit(t->mdb);
	if (r == MDB_MAP_FULL)
		t->is_map_full = true;
	t->is_cut_short = r == EIO;
	if (r == EIO && is_full(t->db))
		r = ENOSPC;
	return r ? mdb_fail(e, t->db, r, "commit") : 0;
}

/* The same, on a map as large as it needs.  0: all are done; 1: *ret_failed is, and the others are
 * to be run again; -1: the transaction failed. */
static int attempt_on_map(struct db *db, struct write *group, struct err *e)
{
	for (bool is_again = false;;) {
		struct txn t = { .db = db, .is_write = true };
		struct write *failed;

		pthread_rwlock_rdlock(&db->map);
		int r = attempt(&t, group, &failed, e);
		pthread_rwlock_unlock(&db->map);
		if (t.is_cut_short && !is_again) {
			is_again = true;
			err_clear(e);
			continue;
		}
		if (!t.is_map_full) {
			if (failed)
				failed->has_ended = true;
			return failed ? 1 : r;
		}
		if (failed)
			err_clear(failed->e);
		err_clear(e);
		if (grow(db, e) < 0)
			return -1;
	}
}

static void finish_group(struct write *group, int r, const struct err *e)
{
	for (struct write *w = group; w; w = w->next) {
		if (w->has_ended)
			continue;
		w->has_ended = true;
		if (r < 0) {
			w->result = -1;
			*w->e = *e;
		}
	}
}

/* Who fails does so alone: the others are run again without it.  What can't be committed together
 * (a full disk) is tried one by one. */
static void write_group(struct write *group, struct db *db)
{
	struct err e = { 0 };
	int r;

	while ((r = attempt_on_map(db, group, &e)) > 0)
		;
	if (r < 0 && group->next) {
		for (struct write *w = group; w; w = w->next) {
			struct write *next = w->next;

			w->next = NULL;
			if (!w->has_ended)
				write_group(w, db);
			w->next = next;
		}
		return;
	}
	finish_group(group, r, &e);
}

/* Up to GROUP_MAX of those who wait, in their order. */
static struct write *take_group(struct db *db)
{
	struct write *first = db->waiting, *last = first;

	for (size_t n = 1; n < GROUP_MAX && last->next; n++)
		last = last->next;
	db->waiting = last->next;
	if (!db->waiting)
		db->last = &db->waiting;
	last->next = NULL;
	return first;
}

void db_on_write(struct db *db, void (*told)(void *arg), void *arg)
{
	db->told = told;
	db->told_arg = arg;
}

int db_write(struct db *db, db_write_fn *fn, void *arg, struct err *e)
{
	TRACE_STEP("commit of the database");
	int r = db_write_quietly(db, fn, arg, e);

	if (r >= 0 && db->told)
		db->told(db->told_arg);
	return r;
}

int db_write_quietly(struct db *db, db_write_fn *fn, void *arg, struct err *e)
{
	struct write own = { .fn = fn, .arg = arg, .e = e };

	pthread_mutex_lock(&db->writers);
	*db->last = &own;
	db->last = &own.next;
	for (;;) {
		while (!own.is_done && db->is_writing)
			pthread_cond_wait(&db->is_written, &db->writers);
		if (own.is_done)
			break;
		struct write *group = take_group(db);
		db->is_writing = true;
		pthread_mutex_unlock(&db->writers);
		write_group(group, db);
		pthread_mutex_lock(&db->writers);
		for (struct write *w = group; w; w = w->next)
			w->is_done = true; /* nobody can go before we unlock */
		db->is_writing = false;
		pthread_cond_broadcast(&db->is_written);
	}
	pthread_mutex_unlock(&db->writers);
	return own.result;
}

/* --- entries --- */

int db_get(struct txn *t, enum table table, const struct key *k, MDB_val *ret, struct err *e)
{
	MDB_val key = { k->n, (void *)k->bytes };
	int r = mdb_get(t->mdb, t->db->tables[table], &key, ret);

	if (r == MDB_NOTFOUND)
		return 0;
	return r ? mdb_fail(e, t->db, r, "get") : 1;
}

int db_put(struct txn *t, enum table table, const struct key *k, const void *p, size_t n,
	   struct err *e)
{
	MDB_val key = { k->n, (void *)k->bytes }, value = { n, (void *)p };
	int r = mdb_put(t->mdb, t->db->tables[table], &key, &value, 0);

	if (r == MDB_MAP_FULL)
		t->is_map_full = true;
	return r ? mdb_fail(e, t->db, r, "put") : 0;
}

int db_del(struct txn *t, enum table table, const struct key *k, struct err *e)
{
	MDB_val key = { k->n, (void *)k->bytes };
	int r = mdb_del(t->mdb, t->db->tables[table], &key, NULL);

	if (r == MDB_NOTFOUND)
		return 0;
	if (r == MDB_MAP_FULL)
		t->is_map_full = true;
	return r ? mdb_fail(e, t->db, r, "delete") : 1;
}

int db_walk(struct txn *t, enum table table, const struct key *prefix, db_visit *visit, void *arg,
	    struct err *e)
{
	MDB_val key = { prefix->n, (void *)prefix->bytes }, value;
	MDB_cursor *cursor;
	int result = 0, r = mdb_cursor_open(t->mdb, t->db->tables[table], &cursor);

	if (r)
		return mdb_fail(e, t->db, r, "cursor");
	r = mdb_cursor_get(cursor, &key, &value, prefix->n ? MDB_SET_RANGE : MDB_FIRST);
	while (r == 0 && result == 0) {
		if (key.mv_size < prefix->n ||
		    (prefix->n && memcmp(key.mv_data, prefix->bytes, prefix->n) != 0))
			break;
		result = visit(t, &key, &value, arg, e);
		if (result == 0)
			r = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (r && r != MDB_NOTFOUND)
		return mdb_fail(e, t->db, r, "walk");
	return result;
}
