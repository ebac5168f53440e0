/* What a collection keeps and what it takes. */
#include "store/gc.h"

#include "base/sha256.h"
#include "store/container.h"
#include "store/content.h"
#include "store/image.h"
#include "store/lease.h"
#include "store/snapshot.h"
#include "store/store_fixture.h"

static const char NS[] = "default";

static const char *blob(struct fixture *f, const char *text, const char *key, const char *value)
{
	struct label lv[] = { { key, value } };
	struct labels labels = { lv, key ? 1 : 0 };
	struct err e = { 0 };
	struct ingest *in;
	char digest[72];

	CHECK_OK(ingest_open(f->s, NS, NULL, text, 0, NULL, &in, &e), &e);
	CHECK_OK(ingest_write(in, text, strlen(text), &e), &e);
	CHECK_OK(ingest_commit(in, 0, NULL, &labels, digest, &e), &e);
	ingest_close(in);
	return arena_strdup(f->a, digest);
}

static bool has(struct fixture *f, const char *digest)
{
	struct err e = { 0 };
	struct content_info i;

	return content_info(f->s, NS, f->a, digest, &i, &e) == 0;
}

static void image(struct fixture *f, const char *name, const char *digest, const char *expire)
{
	struct label lv[] = { { "containerd.io/gc.expire", expire } };
	struct image_record in = { .name = name,
				   .labels = { lv, expire ? 1 : 0 },
				   .target = { "m", digest, 1, { 0 } } };
	struct err e = { 0 };

	CHECK_OK(image_create(f->s, NS, NULL, f->a, &in, &in, &e), &e);
}

/* committed, on parent */
static void snapshot(struct fixture *f, const char *name, const char *parent)
{
	struct snapshot_at at = { NS, NULL, "native" };
	static const struct labels none;
	struct mounts m;
	struct err e = { 0 };

	CHECK_OK(snapshot_prepare(f->s, &at, f->a, "tmp", parent, &none, &m, &e), &e);
	CHECK_OK(snapshot_commit(f->s, &at, name, "tmp", &none, &e), &e);
}

static bool has_snapshot(struct fixture *f, const char *name)
{
	struct snapshot_at at = { NS, NULL, "native" };
	struct err e = { 0 };
	struct snapshot_info i;

	return snapshot_stat(f->s, &at, f->a, name, &i, &e) == 0;
}

static struct gc_stats run(struct fixture *f)
{
	struct gc_stats st;
	struct err e = { 0 };

	CHECK_OK(gc_run(f->s, NULL, NULL, &st, &e), &e);
	return st;
}

TEST(references)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	const char *layer = blob(&f, "layer", NULL, NULL);
	const char *config = blob(&f, "config", "containerd.io/gc.ref.snapshot.native/x", "s2");
	const char *manifest = blob(&f, "manifest", "containerd.io/gc.ref.content.l.0", layer);
	const char *index = blob(&f, "index", "containerd.io/gc.ref.content/config", config);
	const char *stray = blob(&f, "stray", NULL, NULL);
	const char *root = blob(&f, "root", "containerd.io/gc.root", "2026");
	const char *later = blob(&f, "later", "containerd.io/gc.expire", "2999-01-01T00:00:00Z");
	const char *past = blob(&f, "past", "containerd.io/gc.expire", "2001-01-01T00:00:00Z");
	const char *back = blob(&f, "back", "containerd.io/gc.bref.content", layer);

	snapshot(&f, "s1", "");
	snapshot(&f, "s2", "s1");
	snapshot(&f, "lost1", "");
	snapshot(&f, "lost2", "lost1");
	image(&f, "one", manifest, NULL);
	image(&f, "two", index, NULL);

	struct gc_stats st = run(&f);
	CHECK(has(&f, layer) && has(&f, config) && has(&f, manifest) && has(&f, index));
	CHECK(has(&f, root) && has(&f, later) && has(&f, back));
	CHECK(!has(&f, stray) && !has(&f, past));
	CHECK(has_snapshot(&f, "s1") && has_snapshot(&f, "s2"));
	CHECK(!has_snapshot(&f, "lost1") && !has_snapshot(&f, "lost2"));
	CHECK(st.blobs == 2 && st.directories == 2 && st.removed == 4);

	CHECK_OK(image_delete(f.s, NS, "one", NULL, &e), &e);
	st = run(&f);
	CHECK(!has(&f, layer) && !has(&f, manifest) && !has(&f, back) && has(&f, config));
	CHECK_OK(image_delete(f.s, NS, "two", NULL, &e), &e);
	st = run(&f);
	CHECK(!has(&f, index) && !has(&f, config) && !has_snapshot(&f, "s2"));
	st = run(&f);
	CHECK(st.removed == 0 && st.blobs == 0);
}

TEST(expired_image)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	const char *a = blob(&f, "a", NULL, NULL), *b = blob(&f, "b", NULL, NULL);
	struct image_record r;
	struct err e = { 0 };

	image(&f, "gone", a, "2001-01-01T00:00:00Z");
	image(&f, "here", b, "2999-01-01T00:00:00Z");
	run(&f);
	CHECK(!has(&f, a) && has(&f, b));
	CHECK_FAIL(image_get(f.s, NS, f.a, "gone", &r, &e), &e, ERR_NOT_FOUND);
}

TEST(leases)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	const char *leaf = blob(&f, "leaf", NULL, NULL);
	const char *top = blob(&f, "top", "containerd.io/gc.ref.content.0", leaf);
	struct lease_record r, deep = { .id = "deep" }, flat = { .id = "flat" },
			       old = { .id = "old" };
	struct label fv[] = { { "containerd.io/gc.flat", "1" } };
	struct label ov[] = { { "containerd.io/gc.expire", "2001-01-01T00:00:00Z" } };
	struct lease_resource item = { top, "content" };

	flat.labels = (struct labels){ fv, 1 };
	old.labels = (struct labels){ ov, 1 };
	CHECK_OK(lease_create(f.s, NS, f.a, &deep, &r, &e), &e);
	CHECK_OK(lease_create(f.s, NS, f.a, &flat, &r, &e), &e);
	CHECK_OK(lease_create(f.s, NS, f.a, &old, &r, &e), &e);
	CHECK_OK(lease_add(f.s, NS, "deep", &item, &e), &e);
	CHECK_OK(lease_add(f.s, NS, "flat", &item, &e), &e);
	CHECK_OK(lease_add(f.s, NS, "old", &item, &e), &e);
	run(&f);
	CHECK(has(&f, top) && has(&f, leaf));
	CHECK_FAIL(lease_get(f.s, NS, f.a, "old", &r, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);
	CHECK_OK(lease_delete(f.s, NS, "deep", &e), &e);
	run(&f);
	CHECK(has(&f, top) && !has(&f, leaf));
	CHECK_OK(lease_delete(f.s, NS, "flat", &e), &e);
	run(&f);
	CHECK(!has(&f, top));
}

struct told {
	int content, snapshots;
};

static void tell(const char *ns, const char *type, const char *id, void *arg)
{
	struct told *t = arg;

	CHECK_STR(ns, NS);
	CHECK(*id);
	t->content += strcmp(type, "content") == 0;
	t->snapshots += strcmp(type, "snapshots/native") == 0;
}

TEST(containers_hold_snapshots)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct snapshot_at at = { NS, NULL, "native" };
	static const struct labels none;
	struct container_record c = { .id = "c",
				      .runtime_name = "r",
				      .spec = { "t", "", 0 },
				      .snapshotter = "native",
				      .snapshot_key = "c" };
	struct err e = { 0 };
	struct gc_stats st;
	struct told told = { 0 };
	struct mounts m;

	blob(&f, "stray", NULL, NULL);
	snapshot(&f, "base", "");
	CHECK_OK(snapshot_prepare(f.s, &at, f.a, "c", "base", &none, &m, &e), &e);
	CHECK_OK(container_create(f.s, NS, f.a, &c, &c, &e), &e);
	run(&f);
	CHECK(has_snapshot(&f, "c") && has_snapshot(&f, "base"));
	blob(&f, "stray", NULL, NULL);
	CHECK_OK(container_delete(f.s, NS, "c", &e), &e);
	CHECK_OK(gc_run(f.s, tell, &told, &st, &e), &e);
	CHECK(told.content == 1 && told.snapshots == 2 && st.removed == 3);
	CHECK(!has_snapshot(&f, "c") && !has_snapshot(&f, "base"));
}
