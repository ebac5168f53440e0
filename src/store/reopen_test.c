/* The root page of the database cannot be written at the end of a commit, as on a disk that fails
 * right then: LMDB gives up for good, and the database must not. */
#include "base/mem.h"
#include "base/test.h"
#include "os/file.h"
#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* LMDB writes the root page through a descriptor of its own, the one with O_DSYNC: a read-only one
 * takes its place.  How many were replaced. */
static int break_root_fd(const char *path)
{
	AUTO_FREE char *data = xasprintf("%s/data.mdb", path);
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	CHECK(d);
	for (struct dirent *x = readdir(d); x; x = readdir(d)) {
		char to[4096] = "";
		int fd = (int)strtoul(x->d_name, NULL, 10);

		if (readlinkat(dirfd(d), x->d_name, to, sizeof to - 1) < 0 ||
		    strcmp(to, data) != 0 || !(fcntl(fd, F_GETFL) & O_DSYNC))
			continue;
		int bad = open(data, O_RDONLY | O_CLOEXEC);
		CHECK(bad >= 0 && dup3(bad, fd, O_CLOEXEC) == fd);
		close(bad);
		n++;
	}
	closedir(d);
	return n;
}

static int put(struct txn *t, void *arg, struct err *e)
{
	struct key k = KEY("key");

	return db_put(t, TABLE_META, &k, arg, strlen(arg), e);
}

static void check_value(struct db *db, const char *want)
{
	struct key k = KEY("key");
	struct err e = { 0 };
	MDB_val v = { 0 };
	struct txn t;

	CHECK_OK(db_read(db, &t, &e), &e);
	CHECK(db_get(&t, TABLE_META, &k, &v, &e) == 1);
	CHECK(v.mv_size == strlen(want) && memcmp(v.mv_data, want, v.mv_size) == 0);
	db_read_end(&t);
}

static char old[] = "old", lost[] = "lost", new[] = "new";

static void broken_then(bool reads_first)
{
	char path[] = "/tmp/casco-db-XXXXXX";
	struct db *db = NULL;
	struct err e = { 0 };

	CHECK(mkdtemp(path));
	CHECK_OK(db_open(path, &db, &e), &e);
	CHECK_OK(db_write(db, put, old, &e), &e);
	CHECK(break_root_fd(path) == 1);
	CHECK(db_write(db, put, lost, &e) < 0);
	CHECK(strstr(e.msg, path));
	err_clear(&e);
	if (reads_first)
		check_value(db, old);
	CHECK_OK(db_write(db, put, new, &e), &e);
	check_value(db, new);
	db_close(db);
	CHECK_OK(db_open(path, &db, &e), &e);
	check_value(db, new);
	db_close(db);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0);
}

TEST(reads_go_on)
{
	broken_then(true);
}

TEST(writes_go_on)
{
	broken_then(false);
}

/* What is opened from here on is read-only; nothing to test without the right to mount. */
static bool make_read_only(const char *path)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	return mount(path, path, NULL, MS_BIND, NULL) == 0 &&
	       mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0;
}

TEST(reads_go_on_where_nothing_can_be_written)
{
	char path[] = "/tmp/casco-db-XXXXXX";
	struct db *db = NULL;
	struct err e = { 0 };

	CHECK(mkdtemp(path));
	CHECK_OK(db_open(path, &db, &e), &e);
	CHECK_OK(db_write(db, put, old, &e), &e);
	CHECK(break_root_fd(path) == 1);
	if (make_read_only(path)) {
		CHECK(db_write(db, put, lost, &e) < 0);
		for (int i = 0; i < 2; i++) {
			err_clear(&e);
			check_value(db, old);
			CHECK(db_write(db, put, lost, &e) < 0 && e.errnum == EROFS);
			CHECK(strstr(e.msg, path) && strstr(e.msg, "read-only file system"));
		}
		err_clear(&e);
		CHECK(umount2(path, MNT_DETACH) == 0);
		CHECK_OK(db_write(db, put, new, &e), &e);
		check_value(db, new);
	}
	db_close(db);
	CHECK(file_remove_tree(AT_FDCWD, path) == 0);
}
