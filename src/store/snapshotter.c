#include "store/snapshotter.h"

#include "base/num.h"
#include "os/dir.h"
#include "os/file.h"
#include "store/overlay.h"
#include "store/snapshot_record.h"
#include "store/snapshot_remote.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* In the order of preference. */
static const struct snapshotter_ops *const known[] = { &overlay_ops, &native_ops, &btrfs_ops,
						       &erofs_ops, &blockfile_ops };

void snapshotter_number_seen(struct snapshotter *sn, uint64_t number)
{
	if (number >= sn->next)
		sn->next = number + 1; /* only while opening: one thread */
}

static int numbers_on_disk(struct snapshotter *sn, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	int r = dir_names(sn->fd, ".", &names);
	uint64_t number;

	if (r < 0)
		return err_sys(e, -r, "open %s", sn->path);
	for (size_t i = 0; i < names.n; i++)
		if (num_u64(names.v[i], &number) == 0)
			snapshotter_number_seen(sn, number);
	return 0;
}

static const struct snapshot_options *options_of(const struct store_options *opt, const char *name)
{
	static const struct snapshot_options defaults;

	for (size_t i = 0; i < opt->n_snapshotters; i++)
		if (strcmp(opt->snapshotters[i].name, name) == 0)
			return &opt->snapshotters[i];
	return &defaults;
}

static int open_dir(struct snapshotter *sn, const char *root, struct err *e)
{
	bool has_path = sn->opt->root_path && *sn->opt->root_path;

	sn->root = has_path ? xstrdup(sn->opt->root_path)
			    : xasprintf("%s/io.containerd.snapshotter.v1.%s", root, sn->name);
	sn->path = xasprintf("%s/snapshots", sn->root);
	sn->next = 1;

	int r = file_mkdirs(sn->path, 0700);
	if (r < 0)
		return err_sys(e, -r, "create %s", sn->path);
	sn->fd = open(sn->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sn->fd < 0)
		return err_sys(e, errno, "open %s", sn->path);
	return numbers_on_disk(sn, e);
}

/* Records count, too: a directory may have been removed by hand. */
static int see_number(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value,
		      void *arg, struct err *e)
{
	struct snapshotters *all = arg;
	AUTO_ARENA struct arena *a = arena_new();
	struct snapshot_record r;

	if (rec_decode(a, snapshot_fields, value, &r, e) < 0)
		return -1;
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(r.snapshotter, all->v[i].name) == 0)
			snapshotter_number_seen(&all->v[i], r.number);
	return 0;
}

/* only-remap-ids: clients shall not fall back to a copy with other owners. */
static void set_overlay_capabilities(struct snapshotter_state *state,
				     const struct snapshot_options *opt)
{
	size_t n = 0;

	if (overlay_maps_ids())
		state->capabilities[n++] = "remap-ids";
	if (!opt->slow_chown)
		state->capabilities[n++] = "only-remap-ids";
	state->capabilities[n] = "rebase";
}

static int open_one(struct snapshotters *all, const struct snapshotter_ops *ops, const char *root,
		    const struct store_options *opt, struct err *e)
{
	struct snapshotter *sn = &all->v[all->n];
	struct snapshotter_state *state = &all->states[all->n++];
	struct err why = { 0 };

	sn->ops = ops;
	sn->name = state->name = ops->name;
	sn->opt = options_of(opt, ops->name);
	sn->fd = -1;
	pthread_rwlock_init(&sn->dirs, NULL);
	if (open_dir(sn, root, e) < 0)
		return -1;
	state->root = sn->root;
	if (ops->has_lowers)
		set_overlay_capabilities(state, sn->opt);
	state->error = xstrdup(ops->probe(sn, &why) < 0 ? why.msg : "");
	return 0;
}

/* One that does not answer is no reason to fail: it may be started after us. */
static int open_proxy(struct snapshotters *all, const struct snapshot_proxy *p, struct err *e)
{
	static const struct snapshot_options none;
	struct snapshotter *sn = &all->v[all->n];
	struct snapshotter_state *state = &all->states[all->n];

	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->v[i].name, p->name) == 0)
			return err_set(e, ERR_ALREADY_EXISTS,
				       "proxy_plugins: snapshotter \"%s\" is registered already "
				       "(disabled_plugins can make room)",
				       p->name);
	all->n++;
	sn->ops = &proxy_ops;
	sn->name = state->name = p->name;
	sn->opt = &none;
	sn->proxy = p;
	sn->fd = -1;
	sn->next = 1;
	pthread_rwlock_init(&sn->dirs, NULL);
	state->error = xstrdup("");
	memcpy(state->capabilities, p->capabilities, sizeof state->capabilities);
	return 0;
}

static int open_all(struct store *s, const struct store_options *opt, struct err *e)
{
	struct snapshotters *all = &s->snapshotters;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!options_of(opt, known[i]->name)->is_disabled &&
		    open_one(all, known[i], s->root, opt, e) < 0)
			return -1;
	for (size_t i = 0; i < opt->n_proxies; i++)
		if (open_proxy(all, &opt->proxies[i], e) < 0)
			return -1;
	return 0;
}

int snapshotters_open(struct store *s, const struct store_options *opt, struct err *e)
{
	struct snapshotters *all = &s->snapshotters;
	struct key every = { .n = 0 };
	struct txn t;

	all->v = xcalloc(ARRAY_LEN(known) + opt->n_proxies, sizeof *all->v);
	all->states = xcalloc(ARRAY_LEN(known) + opt->n_proxies, sizeof *all->states);
	if (open_all(s, opt, e) < 0 || db_read(s->db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, TABLE_SNAPSHOTS, &every, see_number, all, e);
	db_read_end(&t);
	return r;
}

void snapshotters_close(struct snapshotters *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct snapshotter *sn = &all->v[i];

		if (sn->ops->close && sn->fd >= 0)
			sn->ops->close(sn);
		if (sn->fd >= 0)
			close(sn->fd);
		free(sn->path);
		free(sn->root);
		free((char *)all->states[i].error);
		pthread_rwlock_destroy(&sn->dirs);
	}
	free(all->v);
	free(all->states);
}

int snapshotter_find(struct store *s, const char *name, struct snapshotter **ret, struct err *e)
{
	if (!name || !*name)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshotter argument missing");
	for (size_t i = 0; i < s->snapshotters.n; i++) {
		if (strcmp(name, s->snapshotters.states[i].name) != 0)
			continue;
		if (*s->snapshotters.states[i].error)
			return err_set(e, ERR_INVALID_ARGUMENT, "snapshotter not loaded: %s: %s",
				       name, s->snapshotters.states[i].error);
		*ret = &s->snapshotters.v[i];
		return 0;
	}
	return err_set(e, ERR_INVALID_ARGUMENT, "snapshotter not loaded: %s", name);
}

size_t snapshotter_list(const struct store *s, const struct snapshotter_state **ret)
{
	*ret = s->snapshotters.states;
	return s->snapshotters.n;
}

const char *snapshotter_default(const struct store *s)
{
	for (size_t i = 0; i < s->snapshotters.n; i++)
		if (!*s->snapshotters.states[i].error)
			return s->snapshotters.states[i].name;
	return "overlayfs";
}

static int proxy_mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
			struct mounts *ret, struct err *e)
{
	const struct snapshot_remote_at at = remote_at(sn, l->ns);

	return sn->proxy->remote->mounts(&at, a, l->remote, ret, e);
}

const struct snapshotter_ops proxy_ops = { .name = "proxy",
					   .whiteout = WHITEOUT_REMOVE,
					   .mounts = proxy_mounts };

/* --- what back ends share --- */

char *snapshotter_fs_path(const struct snapshotter *sn, struct arena *a, uint64_t number)
{
	return arena_printf(a, "%s/%llu/fs", sn->path, (unsigned long long)number);
}

int snapshotter_open_fs(const struct snapshotter *sn, uint64_t number, struct err *e)
{
	char rel[40];

	if (sn->ops->open)
		return sn->ops->open(sn, number, e);
	snprintf(rel, sizeof rel, "%llu/fs", (unsigned long long)number);
	int fd = openat(sn->fd, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, errno, "open snapshot directory %s", rel);
}

int snapshotter_open_layer(const struct snapshotter *sn, uint64_t number, struct err *e)
{
	if (sn->ops->show && sn->ops->show(sn, number, e) < 0)
		return -1;
	return snapshotter_open_fs(sn, number, e);
}

void mounts_set(struct arena *a, struct mounts *ret, const char *type, const char *source,
		const char *const *options, size_t n)
{
	struct mount *m = ARENA_NEW(a, struct mount);

	m->type = type;
	m->source = source;
	m->target = "";
	m->options = arena_memdup(a, options, n * sizeof *options);
	m->noptions = n;
	*ret = (struct mounts){ m, 1 };
}

int snapshotter_remove_dir(struct snapshotter *sn, const char *name, struct err *e)
{
	if (sn->ops->discard && sn->ops->discard(sn, name, e) < 0)
		return -1;
	int r = file_remove_tree(sn->fd, name);

	return r < 0 ? err_sys(e, -r, "remove snapshot directory %s/%s", sn->path, name) : 0;
}
