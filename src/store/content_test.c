#include "store/content.h"

#include "base/sha256.h"
#include "store/gc.h"
#include "store/lease.h"
#include "store/namespace.h"
#include "store/store_fixture.h"

#include <sys/stat.h>

static const struct labels NONE;

static char *digest_of(struct arena *a, const char *text)
{
	struct sha256 h;
	char d[72];

	sha256_init(&h);
	sha256_add(&h, text, strlen(text));
	sha256_digest(&h, d);
	return arena_strdup(a, d);
}

static void put(struct fixture *f, const char *ns, const char *ref, const char *text,
		const struct labels *labels)
{
	struct err e = { 0 };
	struct ingest *in;

	CHECK_OK(ingest_open(f->s, ns, NULL, ref, 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, text, strlen(text), &e), &e);
	CHECK_OK(ingest_commit(in, 0, NULL, labels, NULL, &e), &e);
	ingest_close(in);
}

static char *get(struct fixture *f, const char *ns, const char *digest)
{
	struct err e = { 0 };
	uint64_t size;
	int fd;

	CHECK_OK(content_open(f->s, ns, digest, &fd, &size, &e), &e);
	char *text = arena_alloc(f->a, size + 1);
	CHECK(read(fd, text, size) == (ssize_t)size);
	close(fd);
	return text;
}

static int count_one(const struct content_info *i, void *arg, struct err *e UNUSED)
{
	CHECK(*i->digest);
	++*(int *)arg;
	return 0;
}

static int count(struct fixture *f, const char *ns)
{
	struct err e = { 0 };
	int n = 0;

	CHECK_OK(content_walk(f->s, ns, f->a, count_one, &n, &e), &e);
	return n;
}

static int count_ingest(const struct ingest_status *st, void *arg, struct err *e UNUSED)
{
	CHECK(*st->ref);
	++*(int *)arg;
	return 0;
}

static int ingests(struct fixture *f, const char *ns)
{
	struct err e = { 0 };
	int n = 0;

	CHECK_OK(ingest_list(f->s, ns, f->a, count_ingest, &n, &e), &e);
	return n;
}

TEST(commit_and_read)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct label lv[] = { { "a", "1" }, { "containerd.io/gc.ref.content.0", "x" } };
	struct labels labels = { lv, 2 };
	struct content_info info;
	struct err e = { 0 };
	char *digest = digest_of(f.a, "hello");

	put(&f, "default", "ref-1", "hello", &labels);
	CHECK_STR(get(&f, "default", digest), "hello");
	CHECK_OK(content_info(f.s, "default", f.a, digest, &info, &e), &e);
	CHECK(info.size == 5 && info.labels.n == 2 && info.created.tv_sec > 0);
	CHECK_STR(labels_get(&info.labels, "a"), "1");
	CHECK(count(&f, "default") == 1 && count(&f, "other") == 0);
	CHECK(ingests(&f, "default") == 0);

	fixture_reopen(&f);
	CHECK_STR(get(&f, "default", digest), "hello");

	AUTO_FREE char *path = xasprintf("%s/io.containerd.content.v1.content/blobs/sha256/%s",
					 f.root, digest + 7);
	struct stat st;
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0444);
}

TEST(update_labels)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct content_info info;
	struct label lv[] = { { "keep", "1" }, { "a.b/c.d", "2" } };
	struct labels labels = { lv, 2 };

	put(&f, "default", "r", "x", &labels);

	struct label nv[] = { { "a.b/c.d", "" }, { "new.k", "3" } };
	struct content_info in = { .digest = digest_of(f.a, "x"), .labels = { nv, 2 } };
	const char *paths[] = { "labels.a.b/c.d", "labels.new.k" };
	struct mask mask = { paths, 2 };

	CHECK_OK(content_update(f.s, "default", f.a, &in, &mask, &info, &e), &e);
	CHECK(info.labels.n == 2 && !labels_get(&info.labels, "a.b/c.d"));
	CHECK_STR(labels_get(&info.labels, "new.k"), "3");
	CHECK_STR(labels_get(&info.labels, "keep"), "1");

	const char *wrong[] = { "size" };
	struct mask bad = { wrong, 1 };
	CHECK_ERR(content_update(f.s, "default", f.a, &in, &bad, &info, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  arena_printf(
			  f.a,
			  "cannot update \"size\" field on content info \"%s\": invalid argument",
			  in.digest));
}

TEST(refusals)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct content_info info;
	char *digest = digest_of(f.a, "hello");
	struct ingest *in, *other;

	CHECK_ERR(content_info(f.s, "default", f.a, digest, &info, &e), &e, ERR_NOT_FOUND,
		  arena_printf(f.a, "content digest %s: not found", digest));
	CHECK_ERR(content_info(f.s, "default", f.a, "sha256:../../x", &info, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "\"sha256:../../x\": invalid checksum digest format: invalid argument");
	put(&f, "default", "r", "hello", &NONE);
	CHECK_ERR(ingest_open(f.s, "default", NULL, "r2", 0, digest, &in, &e), &e,
		  ERR_ALREADY_EXISTS, arena_printf(f.a, "content %s: already exists", digest));
	CHECK(ingests(&f, "default") == 0);

	/* an open ref is locked */
	CHECK_OK(ingest_open(f.s, "default", NULL, "r3", 0, NULL, &in, &e), &e);
	CHECK_ERR(ingest_open(f.s, "default", NULL, "r3", 0, NULL, &other, &e), &e, ERR_UNAVAILABLE,
		  "ref r3 locked for 0s: unavailable");
	CHECK_OK(ingest_open(f.s, "elsewhere", NULL, "r3", 0, NULL, &other, &e), &e);
	ingest_close(other);

	/* too short: kept; another digest: dropped */
	CHECK_OK(ingest_write(in, "abc", 3, &e), &e);
	CHECK_ERR(ingest_commit(in, 5, NULL, NULL, NULL, &e), &e, ERR_FAILED_PRECONDITION,
		  "unexpected commit size 3, expected 5: failed precondition");
	CHECK_OK(ingest_write(in, "de", 2, &e), &e);
	CHECK_ERR(ingest_commit(in, 5, digest, NULL, NULL, &e), &e, ERR_FAILED_PRECONDITION,
		  arena_printf(f.a, "unexpected commit digest %s, expected %s: failed precondition",
			       digest_of(f.a, "abcde"), digest));
	CHECK_OK(ingest_write(in, "hello", 5, &e), &e);
	CHECK_ERR(ingest_commit(in, 5, digest, NULL, NULL, &e), &e, ERR_ALREADY_EXISTS,
		  arena_printf(f.a, "content %s: already exists", digest));
	ingest_close(in);
	CHECK(ingests(&f, "default") == 0);
	CHECK_ERR(ingest_abort(f.s, "default", "r3", &e), &e, ERR_NOT_FOUND,
		  "reference r3: not found");
}

TEST(resume)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct ingest_status st;
	struct ingest *in;
	struct err e = { 0 };
	char sum[72];
	int fd;

	CHECK_OK(ingest_open(f.s, "default", NULL, "layer", 10, NULL, &in, &e), &e);
	CHECK_OK(ingest_digest(in, sum, &e), &e);
	CHECK_STR(sum, digest_of(f.a, ""));
	CHECK_OK(ingest_write(in, "01234", 5, &e), &e);
	ingest_close(in);
	fixture_reopen(&f);

	CHECK_OK(ingest_status(f.s, "default", f.a, "layer", &st, &e), &e);
	CHECK(st.offset == 5 && st.total == 10 && st.started.tv_sec > 0);
	CHECK_OK(ingest_open(f.s, "default", NULL, "layer", 10, NULL, &in, &e), &e);
	CHECK_OK(ingest_digest(in, sum, &e), &e);
	CHECK_STR(sum, digest_of(f.a, "01234"));

	/* a writer in another process has the fd */
	CHECK_OK(ingest_fd(in, &fd, &e), &e);
	CHECK(write(fd, "567", 3) == 3);
	CHECK_OK(ingest_sync(in, &e), &e);
	CHECK(write(fd, "89", 2) == 2);
	CHECK_OK(ingest_commit(in, 10, digest_of(f.a, "0123456789"), NULL, sum, &e), &e);
	ingest_close(in);
	CHECK_STR(get(&f, "default", sum), "0123456789");
}

TEST(shared_between_namespaces)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct ingest_status st;
	struct gc_stats gc;
	struct ingest *in;
	struct err e = { 0 };
	struct label root[] = { { "containerd.io/gc.root", "1" } };
	struct labels kept = { root, 1 };
	char *digest = digest_of(f.a, "hello");

	put(&f, "one", "r", "hello", &kept);
	CHECK_OK(ingest_open(f.s, "two", NULL, "r", 5, digest, &in, &e), &e);
	ingest_get_status(in, &st);
	CHECK(st.offset == 5 && st.total == 5);
	CHECK_OK(ingest_commit(in, 5, digest, &kept, NULL, &e), &e);
	ingest_close(in);
	CHECK_STR(get(&f, "two", digest), "hello");

	CHECK_OK(content_delete(f.s, "one", digest, &e), &e);
	CHECK(gc_is_due(f.s));
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(gc.blobs == 0 && !gc_is_due(f.s));
	CHECK_STR(get(&f, "two", digest), "hello");
	CHECK(content_share(f.s, "three", NULL, digest, &kept, &e) == 1);
	CHECK(content_share(f.s, "three", NULL, digest_of(f.a, "no"), &kept, &e) == 0);
	CHECK_OK(content_delete(f.s, "two", digest, &e), &e);
	CHECK_OK(content_delete(f.s, "three", digest, &e), &e);
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(gc.blobs == 1);
}

/* content_sharing_policy "isolated": who knows a digest has no right to what is behind it. */
TEST(isolated_namespaces)
{
	const struct store_options opt = { .isolate_content = true };
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct label open_to_all[] = { { "containerd.io/namespace.shareable", "true" } };
	struct ingest_status st;
	struct ingest *in;
	struct err e = { 0 };
	char *digest = digest_of(f.a, "hello"), *given = digest_of(f.a, "given");

	store_close(f.s);
	f.s = NULL;
	CHECK_OK(store_open_with(f.root, &opt, &f.s, &e), &e);
	put(&f, "one", "r", "hello", &NONE);
	CHECK(content_share(f.s, "two", NULL, digest, &NONE, &e) == 0);
	CHECK_OK(ingest_open(f.s, "two", NULL, "r", 5, digest, &in, &e), &e);
	ingest_get_status(in, &st);
	CHECK(st.offset == 0);
	CHECK_OK(ingest_write(in, "hello", 5, &e), &e);
	CHECK_OK(ingest_commit(in, 5, digest, &NONE, NULL, &e), &e);
	ingest_close(in);
	CHECK_STR(get(&f, "two", digest), "hello");
	CHECK_STR(get(&f, "one", digest), "hello");

	CHECK_OK(namespace_create(f.s, "all", &(struct labels){ open_to_all, 1 }, &e), &e);
	put(&f, "all", "r", "given", &NONE);
	CHECK(content_share(f.s, "two", NULL, given, &NONE, &e) == 1);
	CHECK(content_share(f.s, "all", NULL, digest, &NONE, &e) == 0);
}

/* The client writes although it could share: its bytes count. */
TEST(write_over_shared)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct ingest *in;
	struct err e = { 0 };
	char *digest = digest_of(f.a, "hello");

	put(&f, "one", "r", "hello", &NONE);
	CHECK_OK(ingest_open(f.s, "two", NULL, "r", 5, digest, &in, &e), &e);
	CHECK_OK(ingest_truncate(in, 0, &e), &e);
	CHECK_OK(ingest_write(in, "wrong", 5, &e), &e);
	CHECK_ERR(ingest_commit(in, 5, digest, NULL, NULL, &e), &e, ERR_FAILED_PRECONDITION,
		  arena_printf(f.a, "unexpected commit digest %s, expected %s: failed precondition",
			       digest_of(f.a, "wrong"), digest));
	ingest_discard(in);
	CHECK(ingests(&f, "two") == 0);
	CHECK_STR(get(&f, "one", digest), "hello");
}

TEST(ingests_and_leases)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct lease_record lease = { .id = "l1" }, got;
	struct lease_resource *items;
	struct ingest *in;
	struct gc_stats gc;
	struct err e = { 0 };
	size_t n;

	CHECK_ERR(ingest_open(f.s, "default", "l1", "r", 0, NULL, &in, &e), &e, ERR_NOT_FOUND,
		  "lease \"l1\": not found");
	CHECK_OK(lease_create(f.s, "default", f.a, &lease, &got, &e), &e);
	CHECK_OK(ingest_open(f.s, "default", "l1", "r", 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, "abc", 3, &e), &e);
	ingest_close(in);
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(ingests(&f, "default") == 1);
	CHECK_OK(lease_resources(f.s, "default", f.a, "l1", &items, &n, &e), &e);
	CHECK(n == 1);
	CHECK_STR(items[0].type, "ingests");

	/* the commit trades the ingest for the blob */
	CHECK_OK(ingest_open(f.s, "default", "l1", "r", 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_commit(in, 3, NULL, NULL, NULL, &e), &e);
	ingest_close(in);
	CHECK_OK(lease_resources(f.s, "default", f.a, "l1", &items, &n, &e), &e);
	CHECK(n == 1);
	CHECK_STR(items[0].type, "content");
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(count(&f, "default") == 1);

	CHECK_OK(ingest_open(f.s, "default", "l1", "r2", 0, NULL, &in, &e), &e);
	CHECK_OK(lease_delete(f.s, "default", "l1", &e), &e);
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(ingests(&f, "default") == 1); /* open */
	CHECK(count(&f, "default") == 0 && gc.blobs == 1);
	ingest_close(in);
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(ingests(&f, "default") == 0);
}

TEST(abort_of_an_open_ingest)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct ingest *in;
	struct err e = { 0 };

	CHECK_OK(ingest_open(f.s, "default", NULL, "r", 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, "abc", 3, &e), &e);
	CHECK_OK(ingest_abort(f.s, "default", "r", &e), &e);
	CHECK_ERR(ingest_commit(in, 0, NULL, NULL, NULL, &e), &e, ERR_FAILED_PRECONDITION,
		  "ingest r was aborted: failed precondition");
	ingest_close(in);
	CHECK(ingests(&f, "default") == 0 && count(&f, "default") == 0);
}
