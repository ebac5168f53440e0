/* Killed at every step: a child does a piece of work and dies before its n-th system call, for
 * every n; then the store must open, hold the old state or the new one, keep no garbage, and let
 * the work be done again.  The linker puts the dying calls in (see meson.build). */
#include "base/sha256.h"
#include "store/content.h"
#include "store/db.h"
#include "store/gc.h"
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int die_at; /* 0: never */

static void step(void)
{
	if (die_at && --die_at == 0)
		_exit(99);
}

int __real_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b)
{
	step();
	return __real_renameat(from, a, to, b);
}

int __real_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode);
int __wrap_mkdirat(int fd, const char *name, mode_t mode)
{
	step();
	return __real_mkdirat(fd, name, mode);
}

int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags)
{
	step();
	return __real_unlinkat(fd, name, flags);
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	step();
	return __real_write(fd, p, n);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	step();
	return __real_fsync(fd);
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
	step();
	return __real_syncfs(fd);
}

int __real_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t);
int __wrap_mdb_txn_commit(MDB_txn *t)
{
	step(); /* before */
	int r = __real_mdb_txn_commit(t);
	step(); /* and after */
	return r;
}

static const char TEXT[] = "some bytes of a blob";
static const struct snapshot_at AT = { "default", NULL, "native" };

/* Each step may have been done by an earlier, killed attempt. */
static void work(struct store *s)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct label lv[] = { { "containerd.io/gc.root", "1" } };
	struct labels root = { lv, 1 };
	struct err e = { 0 };
	struct mounts m;
	struct ingest *in;
	struct ingest_status st;

	CHECK_OK(ingest_open(s, "default", NULL, "ref", strlen(TEXT), NULL, &in, &e), &e);
	ingest_get_status(in, &st);
	CHECK_OK(ingest_write(in, TEXT + st.offset, strlen(TEXT) - st.offset, &e), &e);
	if (ingest_commit(in, strlen(TEXT), NULL, &root, NULL, &e) < 0) {
		CHECK(e.code == ERR_ALREADY_EXISTS);
		err_clear(&e);
	}
	ingest_close(in);
	if (snapshot_prepare(s, &AT, a, "key", "", &root, &m, &e) < 0) {
		CHECK(e.code == ERR_ALREADY_EXISTS);
		err_clear(&e);
	}
	if (snapshot_commit(s, &AT, "name", "key", &root, &e) < 0) {
		CHECK(e.code == ERR_ALREADY_EXISTS);
		err_clear(&e);
		CHECK_OK(snapshot_remove(s, &AT, "key", &e), &e);
	}
	if (snapshot_prepare(s, &AT, a, "top", "name", &root, &m, &e) < 0) {
		CHECK(e.code == ERR_ALREADY_EXISTS);
		err_clear(&e);
	}
	(void)snapshot_remove(s, &AT, "top", &e);
	err_clear(&e);
	CHECK_OK(gc_run(s, NULL, NULL, NULL, &e), &e);
}

static int entries(const char *root, const char *below)
{
	AUTO_FREE char *path = xasprintf("%s/%s", root, below);
	DIR *dir = opendir(path);
	struct dirent *d;
	int n = 0;

	CHECK(dir);
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

static int count_content(const struct content_info *i, void *arg, struct err *e UNUSED)
{
	CHECK(i->size == strlen(TEXT));
	++*(int *)arg;
	return 0;
}

static int count_snapshot(const struct snapshot_info *i UNUSED, void *arg, struct err *e UNUSED)
{
	++*(int *)arg;
	return 0;
}

/* Files and records agree. */
static void inspect(struct fixture *f)
{
	int blobs = 0, snapshots = 0;
	struct err e = { 0 };

	CHECK_OK(content_walk(f->s, "default", f->a, count_content, &blobs, &e), &e);
	CHECK_OK(snapshot_walk(f->s, &AT, f->a, count_snapshot, &snapshots, &e), &e);
	CHECK(entries(f->root, "io.containerd.content.v1.content/blobs/sha256") == blobs);
	CHECK(entries(f->root, "io.containerd.snapshotter.v1.native/snapshots") == snapshots);
}

static bool dies_at(struct fixture *f, int n)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		struct err e = { 0 };
		struct store *s;

		die_at = n;
		if (store_open(f->root, &s, &e) < 0)
			_exit(1);
		work(s);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == 99;
}

TEST(killed_at_every_step)
{
	bool died = true;
	int n;

	for (n = 1; died; n++) {
		AUTO_FIXTURE struct fixture f = fixture_open();

		store_close(TAKE_PTR(f.s)); /* the child's, then ours again */
		died = dies_at(&f, n);
		fixture_reopen(&f);
		inspect(&f);
		work(f.s);
		inspect(&f);
		CHECK(entries(f.root, "io.containerd.content.v1.content/blobs/sha256") == 1);
		CHECK(entries(f.root, "io.containerd.content.v1.content/ingest") == 0);
		CHECK(entries(f.root, "io.containerd.snapshotter.v1.native/snapshots") == 1);
	}
	CHECK(n > 20);
	printf("# %d steps\n", n - 1);
}
