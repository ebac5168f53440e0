/* Power may go at any time: what the metadata calls committed must be on the disk before.  The
 * linker puts these calls in the way (see meson.build): a sync of the layer must come between the
 * last write to it and the transaction that records it, and its failure must be the commit's. */
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include <errno.h>
#include <lmdb.h>
#include <sys/stat.h>

static struct {
	int syncs, commits; /* since the last reset() */
	int syncs_at_commit; /* how many of them came before the first commit */
	ino_t synced;
	int fail_with; /* errno, or 0 */
} seen;

static void reset(int fail_with)
{
	memset(&seen, 0, sizeof seen);
	seen.fail_with = fail_with;
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	seen.syncs++;
	seen.synced = st.st_ino;
	if (seen.fail_with) {
		errno = seen.fail_with;
		return -1;
	}
	return __real_syncfs(fd);
}

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (seen.commits++ == 0)
		seen.syncs_at_commit = seen.syncs;
	return __real_mdb_txn_commit(txn);
}

static const struct snapshot_at AT = { .ns = "default", .snapshotter = "native" };
static const struct labels NONE;

/* An active snapshot "k" with one file; the inode of its folder. */
static ino_t fill(struct fixture *f)
{
	struct mounts m;
	struct stat st;
	struct err e = { 0 };

	CHECK_OK(snapshot_prepare(f->s, &AT, f->a, "k", "", &NONE, &m, &e), &e);
	AUTO_FREE char *path = xasprintf("%s/file", m.v[0].source);
	CHECK(file_replace(AT_FDCWD, path, "x", 1, 0644, false) == 0);
	CHECK(stat(m.v[0].source, &st) == 0);
	return st.st_ino;
}

TEST(layer_is_synced_before_its_record)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	ino_t folder = fill(&f);

	reset(0);
	CHECK_OK(snapshot_commit(f.s, &AT, "layer", "k", &NONE, &e), &e);
	CHECK(seen.syncs == 1 && seen.synced == folder);
	CHECK(seen.commits == 1 && seen.syncs_at_commit == 1);
}

TEST(layer_that_cannot_be_synced_stays_active)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct snapshot_info info;
	struct err e = { 0 };

	(void)fill(&f);
	reset(EIO);
	CHECK_FAIL(snapshot_commit(f.s, &AT, "layer", "k", &NONE, &e), &e, ERR_UNKNOWN);
	CHECK_STR(e.msg, "sync snapshot: input/output error");
	CHECK(e.errnum == EIO && seen.commits == 0);
	err_clear(&e);
	CHECK_OK(snapshot_stat(f.s, &AT, f.a, "k", &info, &e), &e);
	CHECK(info.kind == SNAPSHOT_ACTIVE);
	CHECK_FAIL(snapshot_stat(f.s, &AT, f.a, "layer", &info, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);

	reset(0);
	CHECK_OK(snapshot_commit(f.s, &AT, "layer", "k", &NONE, &e), &e);
}
