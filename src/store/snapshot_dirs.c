/* Snapshots' directories, opened for those who fill or compare them; and those nobody needs. */
#include "store/snapshot_record.h"
#include "store/snapshot_remote.h"
#include "store/snapshotter.h"
#include "store/state.h"

#include "base/num.h"
#include "base/str.h"
#include "os/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void snapshot_dirs_done(struct snapshot_dirs *d)
{
	if (!d->lowers && d->upper == 0)
		return; /* zeroed */
	close_fd(&d->upper);
	for (size_t i = 0; d->lowers && i < d->nlowers; i++)
		close_fd(&d->lowers[i]);
	free(d->lowers);
	*d = (struct snapshot_dirs){ .upper = -1 };
}

static int open_lower(struct snapshot_dirs *d, const struct snapshotter *sn, uint64_t number,
		      struct err *e)
{
	int fd = snapshotter_open_layer(sn, number, e);

	if (fd >= 0)
		d->lowers[d->nlowers++] = fd;
	return fd;
}

int snapshot_open_dirs(struct store *s, const struct snapshot_at *at, const char *key,
		       struct snapshot_dirs *ret, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct snapshotter *sn;
	struct layers l = { 0 };

	*ret = (struct snapshot_dirs){ .upper = -1 };
	if (snapshot_layers(s, at, key, a, &sn, &l, e) < 0)
		return -1;
	if (sn->proxy) {
		struct mounts m;

		return sn->ops->mounts(sn, a, &l, &m, e) < 0 ? -1
							     : snapshot_open_mounts(s, &m, ret, e);
	}
	ret->whiteout = sn->ops->whiteout;
	ret->upper = snapshotter_open_fs(sn, l.number, e);
	if (ret->upper < 0)
		return -1;
	if (!sn->ops->has_lowers)
		return 0;
	ret->lowers = xcalloc(l.nparents, sizeof *ret->lowers);
	for (size_t i = 0; i < l.nparents; i++)
		if (open_lower(ret, sn, l.parents[i], e) < 0) {
			snapshot_dirs_done(ret);
			return -1;
		}
	return 0;
}

/* --- from mounts --- */

/* path must be SNAPSHOTS/N/fs of one of ours. */
static int find_dir(struct store *s, const char *path, struct snapshotter **ret_sn,
		    uint64_t *ret_number, struct err *e)
{
	for (size_t i = 0; i < s->snapshotters.n; i++) {
		struct snapshotter *sn = &s->snapshotters.v[i];
		size_t n = sn->path ? strlen(sn->path) : 0;

		if (!n)
			continue; /* a proxy's folders are not known before it names them */
		if (strncmp(path, sn->path, n) != 0 || path[n] != '/' || !str_ends(path, "/fs"))
			continue;

		AUTO_FREE char *number = xstrndup(path + n + 1, strlen(path) - n - 1 - 3);

		if (num_u64(number, ret_number) == 0) {
			*ret_sn = sn;
			return 0;
		}
	}
	err_set(e, ERR_INVALID_ARGUMENT, "mount of %s: not a snapshot of this store", path);
	return -1;
}

/* Where the trees of other programs are only they know: with one of them any folder will do.  Who
 * may ask is root. */
static int open_foreign(struct store *s, const char *path, struct err *why, struct err *e)
{
	bool has_proxy = false;

	for (size_t i = 0; i < s->snapshotters.n; i++)
		has_proxy |= s->snapshotters.v[i].proxy != NULL;
	if (!has_proxy || *path != '/')
		return err_copy(e, why);

	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open %s", path) : fd;
}

static int open_tree(struct store *s, const char *path, enum snapshot_whiteout *ret_whiteout,
		     struct err *e)
{
	struct snapshotter *sn;
	struct err why = { 0 };
	uint64_t number;

	if (find_dir(s, path, &sn, &number, &why) < 0)
		return open_foreign(s, path, &why, e);
	*ret_whiteout = sn->ops->whiteout;
	return snapshotter_open_layer(sn, number, e);
}

static int open_lowerdirs(struct store *s, const char *list, struct snapshot_dirs *d, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(list);
	size_t n = 1;

	for (const char *p = list; *p; p++)
		n += *p == ':';
	d->lowers = xcalloc(n, sizeof *d->lowers);
	for (char *p = copy, *next; p; p = next) {
		enum snapshot_whiteout ignored;

		next = strchr(p, ':');
		if (next)
			*next++ = 0;
		int fd = open_tree(s, p, &ignored, e);
		if (fd < 0)
			return -1;
		d->lowers[d->nlowers++] = fd;
	}
	return 0;
}

static int open_number(const struct snapshotter *sn, uint64_t number, struct snapshot_dirs *d,
		       struct err *e)
{
	d->whiteout = sn->ops->whiteout;
	d->upper = snapshotter_open_fs(sn, number, e);
	return d->upper < 0 ? -1 : 0;
}

static int open_upper(struct store *s, const char *path, struct snapshot_dirs *d, struct err *e)
{
	d->upper = open_tree(s, path, &d->whiteout, e);
	return d->upper < 0 ? -1 : 0;
}

/* A mount that only the back end that made it can read. */
static int open_other(struct store *s, const struct mount *m, struct snapshot_dirs *d,
		      struct err *e)
{
	uint64_t number;

	for (size_t i = 0; i < s->snapshotters.n; i++) {
		const struct snapshotter *sn = &s->snapshotters.v[i];

		if (sn->ops->number_of && sn->ops->number_of(sn, m, &number))
			return open_number(sn, number, d, e);
	}
	return err_set(e, ERR_INVALID_ARGUMENT, "mount type \"%s\" is not supported", m->type);
}

static int open_overlay(struct store *s, const struct mount *m, struct snapshot_dirs *d,
			struct err *e)
{
	for (size_t i = 0; i < m->noptions; i++) {
		const char *o = m->options[i];
		int r = 0;

		if (str_starts(o, "upperdir=") && d->upper < 0)
			r = open_upper(s, o + strlen("upperdir="), d, e);
		else if (str_starts(o, "lowerdir=") && !d->lowers)
			r = open_lowerdirs(s, o + strlen("lowerdir="), d, e);
		if (r < 0)
			return -1;
	}
	return 0;
}

int snapshot_open_mounts(struct store *s, const struct mounts *m, struct snapshot_dirs *ret,
			 struct err *e)
{
	int r;

	*ret = (struct snapshot_dirs){ .upper = -1 };
	if (m->n != 1)
		return err_set(e, ERR_INVALID_ARGUMENT, "%zu mounts given, must be one", m->n);
	ret->whiteout = WHITEOUT_REMOVE;
	if (strcmp(m->v[0].type, "overlay") == 0) {
		ret->whiteout = WHITEOUT_OVERLAY;
		r = open_overlay(s, &m->v[0], ret, e);
	} else if (strcmp(m->v[0].type, "bind") == 0)
		r = open_upper(s, m->v[0].source, ret, e);
	else
		r = open_other(s, &m->v[0], ret, e);
	if (r < 0)
		snapshot_dirs_done(ret);
	return r;
}

/* --- clean-up --- */

struct numbers {
	const char *snapshotter;
	uint64_t *v;
	size_t n, cap;
};

static int collect(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value, void *arg,
		   struct err *e)
{
	struct numbers *known = arg;
	AUTO_ARENA struct arena *a = arena_new();
	struct snapshot_record r;

	if (rec_decode(a, snapshot_fields, value, &r, e) < 0)
		return -1;
	if (strcmp(r.snapshotter, known->snapshotter) == 0) {
		GROW(known->v, known->n, known->cap);
		known->v[known->n++] = r.number;
	}
	return 0;
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

/* Renames what no record names to "gone-N": quick, so that the lock is held shortly. */
static int set_aside(struct snapshotter *sn, const struct numbers *known, struct strv *gone,
		     struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	int r = dir_names(sn->fd, ".", &names);

	if (r < 0)
		return err_sys(e, -r, "open %s", sn->path);
	for (size_t i = 0; i < names.n; i++) {
		uint64_t number;

		if (num_u64(names.v[i], &number) < 0) {
			if (str_starts(names.v[i], "gone-")) /* of a run that was killed */
				strv_add(gone, names.v[i]);
			continue;
		}
		if (known->n && bsearch(&number, known->v, known->n, sizeof number, by_number))
			continue;

		AUTO_FREE char *name = xasprintf("gone-%s", names.v[i]);
		if (renameat(sn->fd, names.v[i], sn->fd, name) == 0)
			strv_add(gone, name);
	}
	return 0;
}

int snapshotter_sweep(struct store *s, struct snapshotter *sn, size_t *ret_removed, struct err *e)
{
	if (sn->proxy)
		return remote_sweep(s, sn, ret_removed, e);

	struct numbers known = { .snapshotter = sn->name };
	AUTO_STRV struct strv gone = { 0 };
	struct key every = { .n = 0 };
	struct txn t;

	pthread_rwlock_wrlock(&sn->dirs);
	int r = db_read(s->db, &t, e);
	if (r == 0) {
		r = db_walk(&t, TABLE_SNAPSHOTS, &every, collect, &known, e);
		db_read_end(&t);
	}
	if (r == 0) {
		if (known.n)
			qsort(known.v, known.n, sizeof *known.v, by_number);
		r = set_aside(sn, &known, &gone, e);
	}
	pthread_rwlock_unlock(&sn->dirs);
	free(known.v);
	for (size_t i = 0; i < gone.n && r == 0; i++) {
		r = snapshotter_remove_dir(sn, gone.v[i], e);
		*ret_removed += r == 0;
	}
	return r;
}

int snapshot_cleanup(struct store *s, const char *snapshotter, struct err *e)
{
	struct snapshotter *sn;
	size_t removed = 0;

	if (snapshotter_find(s, snapshotter, &sn, e) < 0)
		return -1;
	return snapshotter_sweep(s, sn, &removed, e);
}
