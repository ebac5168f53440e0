/* Records of sandboxes, and what they hold on to. */
#include "store/sandbox.h"

#include "store/content.h"
#include "store/gc.h"
#include "store/namespace.h"
#include "store/store_fixture.h"

static struct sandbox_record sandbox_named(const char *id)
{
	return (struct sandbox_record){ .id = id,
					.sandboxer = "shim",
					.runtime_name = "io.containerd.runc.v2",
					.spec = { "types/spec", "{}", 2 } };
}

TEST(records)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct sandbox_record in = sandbox_named("s1"), r;
	struct extension xv[] = { { "x.1", { "t", "v", 1 } } };

	in.extensions = (struct extensions){ xv, 1 };
	CHECK_OK(sandbox_create(f.s, "default", f.a, &in, &r, &e), &e);
	CHECK_OK(sandbox_get(f.s, "default", f.a, "s1", &r, &e), &e);
	CHECK_STR(r.sandboxer, "shim");
	CHECK_STR(r.runtime_name, "io.containerd.runc.v2");
	CHECK(r.spec.n == 2 && r.extensions.n == 1 && r.created.tv_sec);
	CHECK_ERR(sandbox_create(f.s, "default", f.a, &in, &r, &e), &e, ERR_ALREADY_EXISTS,
		  "write error: sandbox bucket \"s1\" already exists");
	CHECK_ERR(sandbox_get(f.s, "other", f.a, "s1", &r, &e), &e, ERR_NOT_FOUND,
		  "bucket \"s1\" not found");

	struct sandbox_record bad = sandbox_named("../x");

	CHECK_FAIL(sandbox_create(f.s, "default", f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_ERR(namespace_delete(f.s, "default", &e), &e, ERR_FAILED_PRECONDITION,
		  "namespace \"default\" must be empty, but it still has sandboxes: "
		  "failed precondition");
	CHECK_OK(sandbox_delete(f.s, "default", "s1", &e), &e);
	CHECK_ERR(sandbox_delete(f.s, "default", "s1", &e), &e, ERR_NOT_FOUND,
		  "failed to delete sandbox \"s1\": not found");
	CHECK_OK(namespace_delete(f.s, "default", &e), &e);
}

TEST(updates)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct sandbox_record in = sandbox_named("s1"), r;
	struct label lv[] = { { "a", "b" } };
	struct extension yv[] = { { "y", { "t", "w", 1 } } };
	const char *paths[] = { "labels.a", "extensions.y", "runtime" };
	const char *wrong[] = { "sandboxer" };
	const struct mask mask = { paths, 3 }, bad = { wrong, 1 };

	CHECK_OK(sandbox_create(f.s, "default", f.a, &in, &r, &e), &e);
	in.labels = (struct labels){ lv, 1 };
	in.extensions = (struct extensions){ yv, 1 };
	in.runtime_name = "other";
	CHECK_ERR(sandbox_update(f.s, "default", f.a, &in, NULL, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "sandbox.Runtime.Name field is immutable: invalid argument");
	CHECK_ERR(sandbox_update(f.s, "default", f.a, &in, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "cannot update \"sandboxer\" field on sandbox \"s1\": invalid argument");
	CHECK_OK(sandbox_update(f.s, "default", f.a, &in, &mask, &r, &e), &e);
	CHECK_OK(sandbox_get(f.s, "default", f.a, "s1", &r, &e), &e);
	CHECK_STR(labels_get(&r.labels, "a"), "b");
	CHECK_STR(r.runtime_name, "other");
	CHECK(r.extensions.n == 1 && r.spec.n == 2);
	in.id = "nix";
	CHECK_FAIL(sandbox_update(f.s, "default", f.a, &in, &mask, &r, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);
}

TEST(labels_hold_content)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct sandbox_record in = sandbox_named("s1"), r;
	struct content_info info;
	struct gc_stats st;
	struct ingest *w;
	char digest[72];

	CHECK_OK(ingest_open(f.s, "default", NULL, "x", 0, NULL, &w, &e), &e);
	CHECK_OK(ingest_write(w, "x", 1, &e), &e);
	CHECK_OK(ingest_commit(w, 0, NULL, NULL, digest, &e), &e);
	ingest_close(w);

	struct label lv[] = { { "containerd.io/gc.ref.content.spec", digest } };

	in.labels = (struct labels){ lv, 1 };
	CHECK_OK(sandbox_create(f.s, "default", f.a, &in, &r, &e), &e);
	CHECK_OK(gc_run(f.s, NULL, NULL, &st, &e), &e);
	CHECK_OK(content_info(f.s, "default", f.a, digest, &info, &e), &e);
	CHECK_OK(sandbox_delete(f.s, "default", "s1", &e), &e);
	CHECK_OK(gc_run(f.s, NULL, NULL, &st, &e), &e);
	CHECK_FAIL(content_info(f.s, "default", f.a, digest, &info, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);
}
