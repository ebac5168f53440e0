/* Snapshotters in other programs, played by a table in memory: what is recorded, asked and removed.
 */
#include "store/gc.h"
#include "store/snapshot_remote.h"
#include "store/store_fixture.h"

#include "base/str.h"

static const struct labels NONE;

/* One snapshot a line, at most these; key "" is free. */
static struct far {
	char key[80], parent[80], ref[40];
	enum snapshot_kind kind;
} far[8];

static struct far *far_find(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		if (strcmp(far[i].key, key) == 0)
			return &far[i];
	return NULL;
}

static void far_put(const char *key, const char *parent, enum snapshot_kind kind, const char *ref)
{
	struct far *f = far_find("");

	CHECK(f);
	snprintf(f->key, sizeof f->key, "%s", key);
	snprintf(f->parent, sizeof f->parent, "%s", parent);
	snprintf(f->ref, sizeof f->ref, "%s", ref);
	f->kind = kind;
}

/* A layer that this plugin has without being told: "lazy". */
static int far_make(const struct snapshot_remote_at *at, enum snapshot_kind kind, struct arena *a,
		    const char *key, const char *parent, const struct labels *labels,
		    struct mounts *ret, struct err *e)
{
	const char *ref = labels_get(labels, "containerd.io/snapshot.ref");

	CHECK_STR(at->address, "/far.sock");
	CHECK(!labels_get(labels, "private"));
	if (*parent && !far_find(parent))
		return err_set(e, ERR_NOT_FOUND, "parent %s", parent);
	if (ref && strcmp(ref, "lazy") == 0) {
		far_put("own-name", parent, SNAPSHOT_COMMITTED, ref);
		return err_set(e, ERR_ALREADY_EXISTS, "target snapshot \"lazy\"");
	}
	far_put(key, parent, kind, "");
	*ret = (struct mounts){ ARENA_NEW(a, struct mount), 1 };
	ret->v[0] = (struct mount){ .type = "bind", .source = "/far", .target = "" };
	return 0;
}

static int far_mounts(const struct snapshot_remote_at *at UNUSED, struct arena *a, const char *key,
		      struct mounts *ret, struct err *e)
{
	if (!far_find(key))
		return err_set(e, ERR_NOT_FOUND, "%s", key);
	*ret = (struct mounts){ ARENA_NEW(a, struct mount), 1 };
	ret->v[0] = (struct mount){ .type = "bind", .source = arena_strdup(a, key) };
	return 0;
}

static int far_commit(const struct snapshot_remote_at *at UNUSED, const char *name, const char *key,
		      const char *parent UNUSED, const struct labels *labels UNUSED, struct err *e)
{
	struct far *f = far_find(key);

	if (!f)
		return err_set(e, ERR_NOT_FOUND, "%s", key);
	snprintf(f->key, sizeof f->key, "%s", name);
	f->kind = SNAPSHOT_COMMITTED;
	return 0;
}

static int far_remove(const struct snapshot_remote_at *at UNUSED, const char *key, struct err *e)
{
	struct far *f = far_find(key);

	if (!f)
		return err_set(e, ERR_NOT_FOUND, "%s", key);
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		if (*far[i].key && strcmp(far[i].parent, key) == 0)
			return err_set(e, ERR_FAILED_PRECONDITION, "has a child");
	f->key[0] = 0;
	return 0;
}

static int far_usage(const struct snapshot_remote_at *at UNUSED, const char *key UNUSED,
		     struct snapshot_usage *ret, struct err *e UNUSED)
{
	*ret = (struct snapshot_usage){ 7, 3 };
	return 0;
}

static int far_list(const struct snapshot_remote_at *at UNUSED, struct arena *a,
		    struct snapshot_infos *ret, struct err *e UNUSED)
{
	*ret = (struct snapshot_infos){ arena_array(a, ARRAY_LEN(far), sizeof *ret->v), 0 };
	for (size_t i = 0; i < ARRAY_LEN(far); i++)
		if (*far[i].key) {
			struct snapshot_info *v = &ret->v[ret->n++];

			v->name = arena_strdup(a, far[i].key);
			v->parent = arena_strdup(a, far[i].parent);
			v->kind = far[i].kind;
			if (*far[i].ref)
				labels_set(a, &v->labels, "containerd.io/snapshot.ref", far[i].ref);
		}
	return 0;
}

static int far_cleanup(const struct snapshot_remote_at *at UNUSED, struct err *e)
{
	return err_set(e, ERR_UNIMPLEMENTED, "no clean-up here");
}

static const struct snapshot_remote table = { far_make,  far_mounts, far_commit, far_remove,
					      far_usage, far_list,   far_cleanup };
static const struct snapshot_proxy proxy = { .name = "far",
					     .address = "/far.sock",
					     .remote = &table };
static const struct snapshot_at AT = { .ns = "default", .snapshotter = "far" };

static struct fixture open_far(void)
{
	const struct store_options opt = { .proxies = &proxy, .n_proxies = 1 };
	struct fixture f = fixture_open();
	struct err e = { 0 };

	memset(far, 0, sizeof far);
	store_close(f.s);
	f.s = NULL;
	CHECK_OK(store_open_with(f.root, &opt, &f.s, &e), &e);
	return f;
}

TEST(names_are_ours_and_keys_the_plugins)
{
	AUTO_FIXTURE struct fixture f = open_far();
	struct label lv[] = { { "private", "x" } };
	struct labels labels = { lv, 1 };
	struct snapshot_usage use;
	struct mounts m;
	struct err e = { 0 };

	CHECK_OK(snapshot_prepare(f.s, &AT, f.a, "k", "", &labels, &m, &e), &e);
	CHECK_STR(m.v[0].source, "/far");
	CHECK(far_find("default/1/k"));
	CHECK_OK(snapshot_commit(f.s, &AT, "base", "k", &NONE, &e), &e);
	CHECK(far_find("default/2/base") && !far_find("default/1/k"));
	CHECK_OK(snapshot_prepare(f.s, &AT, f.a, "k", "base", &NONE, &m, &e), &e);
	CHECK_STR(far_find("default/3/k")->parent, "default/2/base");
	CHECK_OK(snapshot_mounts(f.s, &AT, f.a, "k", &m, &e), &e);
	CHECK_STR(m.v[0].source, "default/3/k");
	CHECK_OK(snapshot_usage(f.s, &AT, "k", &use, &e), &e);
	CHECK(use.size == 7 && use.inodes == 3);
	CHECK_ERR(snapshot_commit(f.s, &AT, "base", "k", &NONE, &e), &e, ERR_ALREADY_EXISTS,
		  "snapshot \"base\": already exists");
	CHECK(far_find("default/3/k")); /* refused before the plugin heard of it */
}

TEST(a_plugin_may_have_the_layer)
{
	AUTO_FIXTURE struct fixture f = open_far();
	struct label lv[] = { { "containerd.io/snapshot.ref", "lazy" } };
	struct labels labels = { lv, 1 };
	struct snapshot_info info;
	struct mounts m;
	struct err e = { 0 };

	for (int i = 0; i < 2; i++) /* the second time the record answers */
		CHECK_ERR(snapshot_prepare(f.s, &AT, f.a, "extract", "", &labels, &m, &e), &e,
			  ERR_ALREADY_EXISTS, "target snapshot \"lazy\": already exists");
	CHECK_OK(snapshot_stat(f.s, &AT, f.a, "lazy", &info, &e), &e);
	CHECK(info.kind == SNAPSHOT_COMMITTED);
	CHECK_ERR(snapshot_stat(f.s, &AT, f.a, "extract", &info, &e), &e, ERR_NOT_FOUND,
		  "snapshot extract does not exist: not found");
	CHECK_OK(snapshot_prepare(f.s, &AT, f.a, "c", "lazy", &NONE, &m, &e), &e);
	CHECK_STR(far_find("default/2/c")->parent, "own-name");
}

TEST(what_has_no_record_goes)
{
	AUTO_FIXTURE struct fixture f = open_far();
	struct gc_stats gc;
	struct mounts m;
	struct err e = { 0 };
	struct label lv[] = { { "containerd.io/gc.root", "now" } };
	struct labels root = { lv, 1 };

	CHECK_OK(snapshot_prepare(f.s, &AT, f.a, "kept", "", &root, &m, &e), &e);
	far_put("default/77/parent", "", SNAPSHOT_COMMITTED, "");
	far_put("default/78/child", "default/77/parent", SNAPSHOT_ACTIVE, "");
	far_put("foreign", "", SNAPSHOT_ACTIVE, "");
	far_put("default/x/foreign", "", SNAPSHOT_ACTIVE, "");
	far_put("other/1/foreign", "", SNAPSHOT_ACTIVE, "");
	CHECK_OK(gc_run(f.s, NULL, NULL, &gc, &e), &e);
	CHECK(far_find("default/1/kept") && far_find("foreign"));
	CHECK(far_find("default/x/foreign") && far_find("other/1/foreign"));
	CHECK(!far_find("default/77/parent") && !far_find("default/78/child"));
	CHECK_OK(snapshot_remove(f.s, &AT, "kept", &e), &e);
	CHECK_OK(snapshot_cleanup(f.s, "far", &e), &e);
	CHECK(!far_find("default/1/kept"));
}

TEST(a_name_is_given_once)
{
	const struct snapshot_proxy second = { .name = "native",
					       .address = "/x",
					       .remote = &table };
	const struct store_options opt = { .proxies = &second, .n_proxies = 1 };
	AUTO_FIXTURE struct fixture f = fixture_open();
	struct err e = { 0 };

	store_close(f.s);
	CHECK_FAIL(store_open_with(f.root, &opt, &f.s, &e), &e, ERR_ALREADY_EXISTS);
	CHECK(strstr(e.msg, "snapshotter \"native\" is registered already"));
	f.s = NULL;
}
