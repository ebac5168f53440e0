/* Namespaces, images, containers and leases: what they keep, refuse and say. */
#include "store/container.h"
#include "store/image.h"
#include "store/lease.h"
#include "store/namespace.h"
#include "store/store_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static const char DIGEST[] =
	"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const struct labels NONE;

static struct image_record image_named(const char *name)
{
	return (struct image_record){ .name = name,
				      .target = { "application/x", DIGEST, 7, { 0 } } };
}

static int count_ns(const char *name, const struct labels *l UNUSED, void *arg,
		    struct err *e UNUSED)
{
	CHECK(*name);
	++*(int *)arg;
	return 0;
}

TEST(namespaces)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct label lv[] = { { "a", "1" }, { "b", "2" } }, nv[] = { { "a", "9" } };
	struct labels labels = { lv, 2 }, changed = { nv, 1 }, got;
	struct image_record img = image_named("x"), made;
	int n = 0;

	CHECK_OK(namespace_create(f.s, "one", &labels, &e), &e);
	CHECK_ERR(namespace_create(f.s, "one", &labels, &e), &e, ERR_ALREADY_EXISTS,
		  "namespace \"one\": already exists");
	CHECK_FAIL(namespace_create(f.s, "-bad", &labels, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_OK(namespace_get(f.s, "none", f.a, &got, &e), &e);
	CHECK(got.n == 0);
	CHECK_ERR(namespace_update(f.s, "-bad", f.a, &changed, NULL, &got, &e), &e, ERR_NOT_FOUND,
		  "namespace \"-bad\": not found");

	const char *paths[] = { "labels.a" }, *plain[] = { "labels" };
	struct mask mask = { paths, 1 }, bad = { plain, 1 };
	CHECK_OK(namespace_update(f.s, "one", f.a, &changed, &mask, &got, &e), &e);
	CHECK_STR(labels_get(&got, "a"), "9");
	CHECK_STR(labels_get(&got, "b"), "2");
	CHECK_ERR(namespace_update(f.s, "one", f.a, &changed, &bad, &got, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "cannot update \"labels\" field on namespace \"one\": invalid argument");
	CHECK_OK(namespace_update(f.s, "one", f.a, &changed, NULL, &got, &e), &e);
	CHECK(got.n == 1);

	CHECK_OK(image_create(f.s, "one", NULL, f.a, &img, &made, &e), &e);
	CHECK_OK(image_create(f.s, "implicit", NULL, f.a, &img, &made, &e), &e);
	CHECK_OK(namespace_update(f.s, "labelled", f.a, &changed, NULL, &got, &e), &e);
	CHECK_OK(namespace_list(f.s, count_ns, &n, &e), &e);
	CHECK(n == 3);
	CHECK_ERR(namespace_delete(f.s, "one", &e), &e, ERR_FAILED_PRECONDITION,
		  "namespace \"one\" must be empty, but it still has images: failed precondition");
	CHECK_OK(image_delete(f.s, "one", "x", NULL, &e), &e);
	CHECK_OK(namespace_delete(f.s, "one", &e), &e);
	CHECK_ERR(namespace_delete(f.s, "one", &e), &e, ERR_NOT_FOUND,
		  "namespace \"one\": not found");
}

struct names {
	char text[2048];
};

static int add_name(const struct image_record *r, void *arg, struct err *e UNUSED)
{
	struct names *n = arg;
	size_t len = strlen(n->text);

	snprintf(n->text + len, sizeof n->text - len, "%s ", r->name);
	return 0;
}

TEST(images)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct image_record in = image_named("docker.io/library/b:1"), r;
	struct names names = { "" };

	CHECK_OK(image_create(f.s, "default", NULL, f.a, &in, &r, &e), &e);
	CHECK(r.created.tv_sec > 0 && r.created.tv_nsec == r.updated.tv_nsec);
	CHECK_ERR(image_create(f.s, "default", NULL, f.a, &in, &r, &e), &e, ERR_ALREADY_EXISTS,
		  "image \"docker.io/library/b:1\": already exists");
	in.name = "docker.io/library/a:1";
	CHECK_OK(image_create(f.s, "default", NULL, f.a, &in, &r, &e), &e);
	CHECK_OK(image_list(f.s, "default", f.a, add_name, &names, &e), &e);
	CHECK_STR(names.text, "docker.io/library/a:1 docker.io/library/b:1 ");
	CHECK_ERR(image_get(f.s, "other", f.a, in.name, &r, &e), &e, ERR_NOT_FOUND,
		  "image \"docker.io/library/a:1\": not found");

	struct image_record bad = image_named("");
	CHECK_ERR(image_create(f.s, "default", NULL, f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "image name must not be empty: invalid argument");
	bad = image_named("y");
	bad.target.size = 0;
	CHECK_ERR(image_create(f.s, "default", NULL, f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "Target.Size must be greater than zero: invalid argument");
	bad = image_named("y");
	bad.target.media_type = "";
	CHECK_ERR(image_create(f.s, "default", NULL, f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "Target.MediaType must be set: invalid argument");
	bad = image_named("y");
	bad.target.digest = "sha256:zz";
	CHECK_FAIL(image_create(f.s, "default", NULL, f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_ERR(image_create(f.s, "default", "no-lease", f.a,
			       &(struct image_record){ .name = "z", .target = in.target }, &r, &e),
		  &e, ERR_NOT_FOUND, "lease \"no-lease\": not found");
	CHECK_ERR(image_get(f.s, "default", f.a, "z", &r, &e), &e, ERR_NOT_FOUND,
		  "image \"z\": not found"); /* the whole transaction is gone */
}

TEST(image_updates)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct image_record in = image_named("x"), r;
	struct label lv[] = { { "l.1/x", "1" }, { "l2", "2" } }, av[] = { { "note", "n" } };

	in.labels = (struct labels){ lv, 2 };
	in.target.annotations = (struct labels){ av, 1 };
	CHECK_OK(image_create(f.s, "default", NULL, f.a, &in, &r, &e), &e);

	struct label lu[] = { { "l.1/x", "" }, { "l2", "ignored" } }, au[] = { { "note", "" } };
	const char *paths[] = { "labels.l.1/x", "annotations.note" };
	struct mask mask = { paths, 2 };
	in.labels.v = lu;
	in.target = (struct descriptor){ "", "", 0, { au, 1 } };
	CHECK_OK(image_update(f.s, "default", NULL, f.a, &in, &mask, &r, &e), &e);
	CHECK(r.labels.n == 1 && r.target.annotations.n == 0 && r.target.size == 7);
	CHECK_STR(labels_get(&r.labels, "l2"), "2");

	const char *wrong[] = { "name" };
	mask = (struct mask){ wrong, 1 };
	CHECK_ERR(image_update(f.s, "default", NULL, f.a, &in, &mask, &r, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "cannot update \"name\" field on image \"x\": invalid argument");

	/* Go's client deletes with the target it saw */
	struct descriptor other = { .digest = "sha256:00" };
	CHECK_FAIL(image_delete(f.s, "default", "x", &other, &e), &e, ERR_NOT_FOUND);
	err_clear(&e);
	CHECK_OK(image_delete(f.s, "default", "x", &r.target, &e), &e);
	CHECK_ERR(image_delete(f.s, "default", "x", NULL, &e), &e, ERR_NOT_FOUND,
		  "image \"x\": not found");
}

/* LMDB's keys end at 511 bytes; names do not. */
TEST(long_names)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	char *a = arena_alloc(f.a, 3000), *b = arena_alloc(f.a, 3000);
	struct image_record r, one, two;

	memset(a, 'n', 2000);
	memset(b, 'n', 2001);
	one = image_named(a);
	two = image_named(b);
	CHECK_OK(image_create(f.s, "default", NULL, f.a, &one, &r, &e), &e);
	CHECK_OK(image_create(f.s, "default", NULL, f.a, &two, &r, &e), &e);
	CHECK_OK(image_get(f.s, "default", f.a, a, &r, &e), &e);
	CHECK_STR(r.name, a);
}

static struct container_record container_named(const char *id)
{
	return (struct container_record){ .id = id,
					  .runtime_name = "io.containerd.runc.v2",
					  .spec = { "types/spec", "{\"a\":\0001}", 8 } };
}

TEST(containers)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct container_record in = container_named("c1"), r;
	struct extension xv[] = { { "x.1", { "t", "v", 1 } } };

	in.extensions = (struct extensions){ xv, 1 };
	in.runtime_options = (struct any){ "containerd.runc.v1.Options", NULL, 0 };
	CHECK_OK(container_create(f.s, "default", f.a, &in, &r, &e), &e);
	CHECK_OK(container_get(f.s, "default", f.a, "c1", &r, &e), &e);
	CHECK(r.spec.n == 8 && memcmp(r.spec.value, in.spec.value, 8) == 0);
	CHECK_STR(r.runtime_options.type_url, "containerd.runc.v1.Options");
	CHECK(r.runtime_options.n == 0 && r.extensions.n == 1 && !*r.image && !*r.sandbox);
	CHECK_ERR(container_create(f.s, "default", f.a, &in, &r, &e), &e, ERR_ALREADY_EXISTS,
		  "container \"c1\": already exists");
	CHECK_ERR(container_get(f.s, "default", f.a, "nope", &r, &e), &e, ERR_NOT_FOUND,
		  "container \"nope\" in namespace \"default\": not found");

	struct container_record bad = container_named("../x");
	CHECK_FAIL(container_create(f.s, "default", f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	bad = container_named("c2");
	bad.spec.type_url = NULL;
	CHECK_ERR(container_create(f.s, "default", f.a, &bad, &r, &e), &e, ERR_INVALID_ARGUMENT,
		  "create container failed validation: container.Spec must be set: "
		  "invalid argument");

	/* no mask: what may not change must be named as it is */
	struct container_record up = container_named("c1");
	up.snapshotter = "native";
	CHECK_ERR(container_update(f.s, "default", f.a, &up, NULL, &r, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "container.Snapshotter field is immutable: invalid argument");
	up.snapshotter = "";
	up.runtime_name = "";
	CHECK_ERR(container_update(f.s, "default", f.a, &up, NULL, &r, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "container.Runtime.Name field is immutable: invalid argument");
	const char *paths[] = { "image", "extensions.y" };
	struct mask mask = { paths, 2 };
	struct extension yv[] = { { "y", { "t2", "w", 1 } } };
	up.image = "img";
	up.extensions = (struct extensions){ yv, 1 };
	CHECK_OK(container_update(f.s, "default", f.a, &up, &mask, &r, &e), &e);
	CHECK(r.extensions.n == 2);
	CHECK_STR(r.image, "img");
	CHECK_STR(r.runtime_name, "io.containerd.runc.v2");
	const char *wrong[] = { "id" };
	mask = (struct mask){ wrong, 1 };
	CHECK_ERR(container_update(f.s, "default", f.a, &up, &mask, &r, &e), &e,
		  ERR_INVALID_ARGUMENT, "cannot update \"id\" field on \"c1\": invalid argument");

	CHECK_OK(container_delete(f.s, "default", "c1", &e), &e);
	CHECK_ERR(container_delete(f.s, "default", "c1", &e), &e, ERR_NOT_FOUND,
		  "container c1: not found");
}

struct borrowed {
	struct fixture *f;
	const struct container_record *v[2];
	size_t n;
	bool is_over;
};

static int keep_borrowed(const struct container_record *r, void *arg, struct err *e UNUSED)
{
	struct borrowed *b = arg;

	CHECK(b->n < ARRAY_LEN(b->v));
	b->v[b->n++] = r;
	return 0;
}

/* What was borrowed is there, whatever others write meanwhile. */
static int see_borrowed(void *arg, struct err *e)
{
	struct borrowed *b = arg;

	CHECK_OK(container_delete(b->f->s, "default", "c0", e), e);
	CHECK(b->n == 2);
	for (size_t i = 0; i < b->n; i++)
		CHECK(b->v[i]->spec.n == 8 && memcmp(b->v[i]->spec.value, "{\"a\":\0001}", 8) == 0);
	CHECK_STR(b->v[0]->id, "c0");
	b->is_over = true;
	return 0;
}

TEST(containers_borrowed)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct container_record c0 = container_named("c0"), c1 = container_named("c1"), r;
	struct borrowed b = { .f = &f };
	struct err e = { 0 };

	CHECK_OK(container_create(f.s, "default", f.a, &c0, &r, &e), &e);
	CHECK_OK(container_create(f.s, "default", f.a, &c1, &r, &e), &e);
	CHECK_OK(container_list_borrowed(f.s, "default", f.a, keep_borrowed, see_borrowed, &b, &e),
		 &e);
	CHECK(b.is_over);
}

TEST(leases)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };
	struct label lv[] = { { "containerd.io/gc.flat", "yes" } };
	struct lease_record in = { .id = "l1", .labels = { lv, 1 } }, r;
	struct lease_resource *items;
	static const struct {
		struct lease_resource r;
		enum err_code code;
		const char *text;
	} rows[] = {
		{ { DIGEST, "content" }, ERR_OK, "" },
		{ { "img", "images" }, ERR_OK, "" },
		{ { "ref", "ingests" }, ERR_OK, "" },
		{ { "k", "snapshots/overlayfs" }, ERR_OK, "" },
		{ { "k", "snapshots" },
		  ERR_INVALID_ARGUMENT,
		  "invalid snapshot resource type snapshots: invalid argument" },
		{ { "k", "what" },
		  ERR_UNIMPLEMENTED,
		  "resource type what not supported yet: not implemented" },
		{ { "x", "content" },
		  ERR_INVALID_ARGUMENT,
		  "invalid content digest x: invalid argument" },
	};
	size_t n;

	CHECK_OK(lease_create(f.s, "default", f.a, &in, &r, &e), &e);
	CHECK_ERR(lease_create(f.s, "default", f.a, &in, &r, &e), &e, ERR_ALREADY_EXISTS,
		  "lease \"l1\": already exists");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].code == ERR_OK)
			CHECK_OK(lease_add(f.s, "default", "l1", &rows[i].r, &e), &e);
		else
			CHECK_ERR(lease_add(f.s, "default", "l1", &rows[i].r, &e), &e, rows[i].code,
				  rows[i].text);
	}
	CHECK_OK(lease_resources(f.s, "default", f.a, "l1", &items, &n, &e), &e);
	CHECK(n == 4);
	CHECK_OK(lease_remove(f.s, "default", "l1", &rows[1].r, &e), &e);
	CHECK_OK(lease_resources(f.s, "default", f.a, "l1", &items, &n, &e), &e);
	CHECK(n == 3);
	CHECK_OK(lease_delete(f.s, "default", "l1", &e), &e);
	CHECK_ERR(lease_delete(f.s, "default", "l1", &e), &e, ERR_NOT_FOUND,
		  "lease \"l1\": not found");
	CHECK_ERR(lease_resources(f.s, "default", f.a, "l1", &items, &n, &e), &e, ERR_NOT_FOUND,
		  "lease \"l1\": not found");
	(void)NONE;
}

TEST(labels)
{
	struct err e = { 0 };
	char value[4100];
	struct label lv[] = { { "key", value } };
	struct labels l = { lv, 1 };

	memset(value, 'v', sizeof value - 1);
	value[4093] = 0;
	CHECK_OK(labels_check(&l, &e), &e);
	memset(value, 'v', sizeof value - 1);
	value[4094] = 0;
	CHECK_ERR(labels_check(&l, &e), &e, ERR_INVALID_ARGUMENT,
		  "label key and value length (4097 bytes) > maximum size (4096 bytes), key: key: "
		  "invalid argument");
}

TEST(second_opener_is_refused)
{
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct store *other;
	struct err e = { 0 };
	int pid = fork(), status;

	if (pid == 0) {
		CHECK_FAIL(store_open(f.root, &other, &e), &e, ERR_FAILED_PRECONDITION);
		CHECK(strstr(e.msg, "is in use by another process"));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}
