/* What the operator's options change in overlayfs' snapshots.  Needs root (overlay is probed). */
#include "store/snapshot.h"
#include "store/store_fixture.h"

#include "base/str.h"

#include <errno.h>
#include <sys/stat.h>

static const struct labels NONE;
static const struct snapshot_at AT = { .ns = "default", .snapshotter = "overlayfs" };

struct env {
	struct fixture f;
	struct snapshot_options options;
};

static void open_with(struct env *v)
{
	const struct store_options opt = { &v->options, 1 };
	const struct snapshotter_state *states;
	struct err e = { 0 };

	v->f = fixture_open();
	v->options.name = "overlayfs";
	v->options.root_path = arena_printf(v->f.a, "%s/own", v->f.root);
	store_close(v->f.s);
	v->f.s = NULL;
	CHECK_OK(store_open_with(v->f.root, &opt, &v->f.s, &e), &e);
	snapshotter_list(v->f.s, &states);
	if (!*states[0].error)
		return;
	printf("# skip: %s\n", states[0].error);
	fixture_close(&v->f);
	exit(77);
}

static struct mounts prepare(struct env *v, const char *key, const char *parent,
			     const struct labels *labels)
{
	struct mounts m;
	struct err e = { 0 };

	CHECK_OK(snapshot_prepare(v->f.s, &AT, v->f.a, key, parent, labels, &m, &e), &e);
	return m;
}

static void make_layer(struct env *v)
{
	struct err e = { 0 };

	(void)prepare(v, "k", "", &NONE);
	CHECK_OK(snapshot_commit(v->f.s, &AT, "base", "k", &NONE, &e), &e);
}

static const char *joined(struct env *v, const struct mounts *m)
{
	AUTO_STR struct str s = STR_INIT(4096);

	for (size_t i = 0; i < m->v[0].noptions; i++)
		str_addf(&s, "%s%s", i ? "," : "", m->v[0].options[i]);
	return arena_strdup(v->f.a, str_c(&s));
}

TEST(mount_options_follow_the_layers)
{
	const char *options[] = { "metacopy=on", "redirect_dir=on", "volatile" };
	struct env v = { .options = { .mount_options = options, .n_mount_options = 3 } };

	open_with(&v);
	make_layer(&v);
	struct mounts m = prepare(&v, "a", "base", &NONE);
	const char *dir = v.options.root_path;

	CHECK_STR(joined(&v, &m),
		  arena_printf(v.f.a,
			       "workdir=%s/snapshots/2/work,upperdir=%s/snapshots/2/fs,"
			       "lowerdir=%s/snapshots/1/fs,metacopy=on,redirect_dir=on,volatile,"
			       "index=off",
			       dir, dir, dir));
	fixture_close(&v.f);
}

TEST(index_is_the_operators)
{
	const char *options[] = { "index=on" };
	struct env v = { .options = { .mount_options = options, .n_mount_options = 1 } };

	open_with(&v);
	make_layer(&v);
	struct mounts m = prepare(&v, "a", "base", &NONE);

	CHECK_STR(m.v[0].options[m.v[0].noptions - 1], "index=on");
	CHECK(!strstr(joined(&v, &m), "index=off"));
	fixture_close(&v.f);
}

TEST(upperdir_label)
{
	struct env v = { .options = { .upperdir_label = true } };
	struct snapshot_info info;
	struct err e = { 0 };

	open_with(&v);
	make_layer(&v);
	CHECK_OK(snapshot_stat(v.f.s, &AT, v.f.a, "base", &info, &e), &e);
	CHECK_STR(labels_get(&info.labels, "containerd.io/snapshot/overlay.upperdir"),
		  arena_printf(v.f.a, "%s/snapshots/1/fs", v.options.root_path));
	fixture_close(&v.f);
}

TEST(sync_remove)
{
	for (int sync = 0; sync < 2; sync++) {
		struct env v = { .options = { .sync_remove = sync } };
		struct err e = { 0 };
		struct stat st;

		open_with(&v);
		make_layer(&v);
		CHECK_OK(snapshot_remove(v.f.s, &AT, "base", &e), &e);
		int r = stat(arena_printf(v.f.a, "%s/snapshots/1", v.options.root_path), &st);
		CHECK((r < 0) == sync);
		fixture_close(&v.f);
	}
}

TEST(id_maps)
{
	struct label lv[] = { { "containerd.io/snapshot/uidmapping", "0:1000:10,10:5000:10" },
			      { "containerd.io/snapshot/gidmapping", "0:2000:10" } };
	struct labels labels = { lv, 2 };
	struct env v = { 0 };
	struct err e = { 0 };
	struct mounts m;
	struct stat st;

	open_with(&v);
	make_layer(&v);
	m = prepare(&v, "a", "base", &labels);
	CHECK(str_starts(joined(&v, &m), "uidmap=0:1000:10,10:5000:10,gidmap=0:2000:10,workdir="));
	CHECK(stat(arena_printf(v.f.a, "%s/snapshots/2/fs", v.options.root_path), &st) == 0);
	CHECK(st.st_uid == 1000 && st.st_gid == 2000);
	CHECK_OK(snapshot_mounts(v.f.s, &AT, v.f.a, "a", &m, &e), &e);
	CHECK_STR(m.v[0].options[1], "gidmap=0:2000:10");
	m = prepare(&v, "first", "", &labels);
	CHECK_STR(joined(&v, &m), "uidmap=0:1000:10,10:5000:10,gidmap=0:2000:10,rw,rbind");

	lv[0].value = "1:1000:10";
	CHECK_ERR(snapshot_prepare(v.f.s, &AT, v.f.a, "b", "base", &labels, &m, &e), &e,
		  ERR_INVALID_ARGUMENT,
		  "failed to unmarshal snapshot ID mapped labels: \"1:1000:10\" maps no id 0: "
		  "invalid argument");
	fixture_close(&v.f);
}
