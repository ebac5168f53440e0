/* Writers at the same time share transactions.  The linker puts mdb_txn_commit in the way (see
 * meson.build): a commit takes as long as the test wants, and fails when it is told to. */
#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITERS = 16, PREFERRED = WRITERS / 2 };

static atomic_int commits;
static atomic_int is_held; /* commits wait for it to be 0 */
static atomic_int fails_above; /* as if the disk had no room for more puts than that; 0: it has */
static atomic_int puts_in_txn;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	commits++;
	while (is_held)
		usleep(100);
	if (fails_above && puts_in_txn > fails_above) {
		puts_in_txn = 0;
		mdb_txn_abort(txn);
		return ENOSPC;
	}
	puts_in_txn = 0;
	return __real_mdb_txn_commit(txn);
}

struct writer {
	struct db *db;
	int number;
	bool refuses; /* after it has written */
	size_t size;
	int result;
	struct err e;
	pthread_t thread;
};

static struct key key_of(const struct writer *w)
{
	char name[16];

	snprintf(name, sizeof name, "w%d", w->number);
	return KEY(name);
}

static int put(struct txn *t, void *arg, struct err *e)
{
	const struct writer *w = arg;
	struct key k = key_of(w);
	AUTO_FREE char *bytes = xcalloc(1, w->size);

	if (db_put(t, TABLE_META, &k, bytes, w->size, e) < 0)
		return -1;
	puts_in_txn++;
	if (w->refuses) {
		puts_in_txn = 0; /* nothing of this attempt stays */
		return err_set(e, ERR_INVALID_ARGUMENT, "writer %d refuses", w->number);
	}
	return w->number;
}

static void *run(void *arg)
{
	struct writer *w = arg;

	w->result = db_write(w->db, put, w, &w->e);
	return NULL;
}

/* The first one is held in its commit until the others wait. */
static void start(struct db *db, struct writer *w)
{
	commits = 0;
	is_held = 1;
	for (int i = 0; i < WRITERS; i++) {
		w[i].db = db;
		w[i].number = i;
		w[i].size = w[i].size ? w[i].size : 1;
		CHECK(pthread_create(&w[i].thread, NULL, run, &w[i]) == 0);
		while (i == 0 && !commits)
			usleep(100);
	}
	usleep(50000);
	is_held = 0;
	for (int i = 0; i < WRITERS; i++)
		CHECK(pthread_join(w[i].thread, NULL) == 0);
}

static bool is_there(const struct writer *w)
{
	struct err e = { 0 };
	struct txn t;
	MDB_val v;
	struct key k = key_of(w);

	CHECK_OK(db_read(w->db, &t, &e), &e);
	int r = db_get(&t, TABLE_META, &k, &v, &e);
	CHECK(r >= 0 && (r == 0 || v.mv_size == w->size));
	db_read_end(&t);
	return r == 1;
}

struct folder {
	char path[64];
	struct db *db;
};

static struct folder open_db(size_t map)
{
	struct folder f = { .path = "/tmp/casco-group-XXXXXX" };
	struct err e = { 0 };

	CHECK(mkdtemp(f.path));
	CHECK_OK(db_open_sized(f.path, map, &f.db, &e), &e);
	return f;
}

static void folder_close(struct folder *f)
{
	db_close(f->db);
	CHECK(file_remove_tree(AT_FDCWD, f->path) == 0);
}
#define AUTO_FOLDER CLEANUP(folder_close)

TEST(those_who_wait_share_a_commit)
{
	struct writer w[WRITERS] = { 0 };
	AUTO_FOLDER struct folder f = open_db(1 << 20);

	start(f.db, w);
	for (int i = 0; i < WRITERS; i++) {
		CHECK_OK(w[i].result, &w[i].e);
		CHECK(w[i].result == i && is_there(&w[i]));
	}
	CHECK(commits < PREFERRED); /* as a rule 2; a slow machine may have a few more */
}

TEST(who_fails_fails_alone)
{
	struct writer w[WRITERS] = { 0 };
	AUTO_FOLDER struct folder f = open_db(1 << 20);
	char text[32];

	for (int i = 0; i < WRITERS; i += 3)
		w[i].refuses = i > 0;
	start(f.db, w);
	for (int i = 0; i < WRITERS; i++) {
		CHECK(is_there(&w[i]) == !w[i].refuses);
		if (!w[i].refuses) {
			CHECK(w[i].result == i);
			continue;
		}
		snprintf(text, sizeof text, "writer %d refuses", i);
		CHECK(w[i].result == -1);
		CHECK_STR(w[i].e.msg, text);
	}
}

TEST(too_much_for_the_disk_is_tried_one_by_one)
{
	struct writer w[WRITERS] = { 0 };
	AUTO_FOLDER struct folder f = open_db(1 << 20);

	fails_above = 1;
	start(f.db, w);
	fails_above = 0;
	for (int i = 0; i < WRITERS; i++) {
		CHECK_OK(w[i].result, &w[i].e);
		CHECK(w[i].result == i && is_there(&w[i]));
	}
}

TEST(the_map_grows_under_a_group)
{
	struct writer w[WRITERS] = { 0 };
	AUTO_FOLDER struct folder f = open_db(1 << 18);

	for (int i = 0; i < WRITERS; i++)
		w[i].size = 100000;
	start(f.db, w);
	for (int i = 0; i < WRITERS; i++) {
		CHECK_OK(w[i].result, &w[i].e);
		CHECK(is_there(&w[i]));
	}
}
