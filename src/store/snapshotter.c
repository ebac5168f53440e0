#include "store/snapshotter.h"

#include "base/num.h"
#include "os/file.h"
#include "store/snapshot_record.h"
#include "store/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* In the order of preference. */
static const struct snapshotter_ops *const known[SNAPSHOTTER_COUNT] = { &overlay_ops, &native_ops };

void snapshotter_number_seen(struct snapshotter *sn, uint64_t number)
{
	if (number >= sn->next)
		sn->next = number + 1; /* only while opening: one thread */
}

static int numbers_on_disk(struct snapshotter *sn, struct err *e)
{
	int fd = openat(sn->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		err_sys(e, errno, "open %s", sn->path);
		close_fd(&fd);
		return -1;
	}
	while ((d = readdir(dir))) {
		uint64_t number;

		if (num_u64(d->d_name, &number) == 0)
			snapshotter_number_seen(sn, number);
	}
	closedir(dir);
	return 0;
}

static int open_one(struct snapshotter *sn, const char *root, struct err *e)
{
	sn->path = xasprintf("%s/io.containerd.snapshotter.v1.%s/snapshots", root, sn->ops->name);
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
	for (size_t i = 0; i < SNAPSHOTTER_COUNT; i++)
		if (strcmp(r.snapshotter, all->v[i].ops->name) == 0)
			snapshotter_number_seen(&all->v[i], r.number);
	return 0;
}

int snapshotters_open(struct store *s, struct err *e)
{
	struct snapshotters *all = &s->snapshotters;
	struct key every = { .n = 0 };
	struct txn t;

	for (size_t i = 0; i < SNAPSHOTTER_COUNT; i++) {
		struct err why = { 0 };

		all->v[i].ops = known[i];
		all->v[i].fd = -1;
		pthread_rwlock_init(&all->v[i].dirs, NULL);
		all->states[i].name = known[i]->name;
		all->states[i].error = xstrdup("");
		if (open_one(&all->v[i], s->root, e) < 0)
			return -1;
		if (known[i]->probe(all->v[i].fd, &why) < 0) {
			free((char *)all->states[i].error);
			all->states[i].error = xstrdup(why.msg);
		}
		all->states[i].root = all->v[i].path;
	}
	if (db_read(s->db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, TABLE_SNAPSHOTS, &every, see_number, all, e);
	db_read_end(&t);
	return r;
}

void snapshotters_close(struct snapshotters *all)
{
	for (size_t i = 0; i < SNAPSHOTTER_COUNT; i++) {
		struct snapshotter *sn = &all->v[i];

		if (!sn->ops)
			continue;
		if (sn->fd >= 0)
			close(sn->fd);
		free(sn->path);
		free((char *)all->states[i].error);
		pthread_rwlock_destroy(&sn->dirs);
	}
}

int snapshotter_find(struct store *s, const char *name, struct snapshotter **ret, struct err *e)
{
	if (!name || !*name)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshotter argument missing");
	for (size_t i = 0; i < SNAPSHOTTER_COUNT; i++) {
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
	return SNAPSHOTTER_COUNT;
}

const char *snapshotter_default(const struct store *s)
{
	for (size_t i = 0; i < SNAPSHOTTER_COUNT; i++)
		if (!*s->snapshotters.states[i].error)
			return s->snapshotters.states[i].name;
	return s->snapshotters.states[0].name;
}

/* --- what back ends share --- */

char *snapshotter_fs_path(const struct snapshotter *sn, struct arena *a, uint64_t number)
{
	return arena_printf(a, "%s/%llu/fs", sn->path, (unsigned long long)number);
}

int snapshotter_open_fs(const struct snapshotter *sn, uint64_t number, struct err *e)
{
	char rel[40];

	snprintf(rel, sizeof rel, "%llu/fs", (unsigned long long)number);
	int fd = openat(sn->fd, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, errno, "open snapshot directory %s", rel);
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
	int r = file_remove_tree(sn->fd, name);

	return r < 0 ? err_sys(e, -r, "remove snapshot directory %s/%s", sn->path, name) : 0;
}
