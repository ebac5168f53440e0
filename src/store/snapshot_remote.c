#include "store/snapshot_remote.h"

#include "base/num.h"
#include "base/str.h"
#include "store/entry.h"
#include "store/snapshot_record.h"
#include "store/state.h"

#include <string.h>

static const char target_label[] = "containerd.io/snapshot.ref";

struct snapshot_remote_at remote_at(const struct snapshotter *sn, const char *ns)
{
	return (struct snapshot_remote_at){ sn->proxy->address, sn->name, ns };
}

char *remote_key(struct arena *a, const char *ns, uint64_t number, const char *name)
{
	return arena_printf(a, "%s/%llu/%s", ns, (unsigned long long)number, name);
}

struct labels remote_labels(struct arena *a, const struct labels *all)
{
	struct labels some = { arena_array(a, all->n + 1, sizeof *some.v), 0 };

	for (size_t i = 0; i < all->n; i++)
		if (str_starts(all->v[i].key, "containerd.io/snapshot/") ||
		    strcmp(all->v[i].key, target_label) == 0)
			some.v[some.n++] = all->v[i];
	return some;
}

/* What the plugin has committed for the target, on this parent. */
static const char *find_target(const struct snapshotter *sn, const struct snapshot_remote_at *at,
			       struct arena *a, const char *target, const char *parent)
{
	struct snapshot_infos all;
	struct err ignored = { 0 };

	if (sn->proxy->remote->list(at, a, &all, &ignored) < 0)
		return NULL; /* the refusal stands */
	for (size_t i = 0; i < all.n; i++) {
		const char *ref = labels_get(&all.v[i].labels, target_label);

		if (all.v[i].kind == SNAPSHOT_COMMITTED && ref && strcmp(ref, target) == 0 &&
		    strcmp(all.v[i].parent, parent) == 0)
			return all.v[i].name;
	}
	return NULL;
}

int remote_make(const struct snapshotter *sn, const char *ns, uint64_t number,
		enum snapshot_kind kind, struct arena *a, const char *name, const char *parent,
		const struct labels *labels, const char **ret_key, struct mounts *ret,
		struct err *e)
{
	const struct snapshot_remote_at at = remote_at(sn, ns);
	const char *target = labels_get(labels, target_label);
	const struct labels some = remote_labels(a, labels);
	struct err why = { 0 };

	*ret_key = remote_key(a, ns, number, name);
	if (sn->proxy->remote->make(&at, kind, a, *ret_key, parent, &some, ret, &why) == 0)
		return 0;
	if (why.code != ERR_ALREADY_EXISTS || !target)
		return err_copy(e, &why);
	*ret_key = find_target(sn, &at, a, target, parent);
	return *ret_key ? 1 : err_copy(e, &why);
}

/* --- clean-up --- */

struct sweep {
	struct store *s;
	const struct snapshotter *sn;
	struct arena *a;
	struct strv namespaces;
	struct snapshot_infos gone;
};

static int add_namespace(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value UNUSED,
			 void *arg, struct err *e UNUSED)
{
	struct sweep *w = arg;
	AUTO_FREE char *ns = xstrndup(key->mv_data, key->mv_size);

	strv_add(&w->namespaces, ns);
	return 0;
}

/* "NS/NUMBER/…", or a layer that the plugin committed for us: others may use it, too. */
static bool is_ours(const char *ns, const struct snapshot_info *i)
{
	size_t n = strlen(ns);
	const char *slash;
	uint64_t number;

	if (labels_get(&i->labels, target_label))
		return true;
	if (strncmp(i->name, ns, n) != 0 || i->name[n] != '/')
		return false;
	slash = strchr(i->name + n + 1, '/');
	if (!slash)
		return false;

	AUTO_FREE char *digits = xstrndup(i->name + n + 1, (size_t)(slash - i->name) - n - 1);

	return num_u64(digits, &number) == 0;
}

static bool is_recorded(const struct entries *records, const char *name)
{
	for (size_t i = 0; i < records->n; i++) {
		const struct snapshot_record *r = records->v[i];

		if (strcmp(r->remote, name) == 0)
			return true;
	}
	return false;
}

static int find_gone(struct sweep *w, const char *ns, struct err *e)
{
	const struct snapshot_remote_at at = remote_at(w->sn, ns);
	struct key below = PREFIX(ns, w->sn->name);
	struct entries records;
	struct snapshot_infos all;

	if (entry_list(w->s->db, TABLE_SNAPSHOTS, &below, snapshot_fields,
		       sizeof(struct snapshot_record), w->a, &records, e) < 0 ||
	    w->sn->proxy->remote->list(&at, w->a, &all, e) < 0)
		return -1;
	w->gone = (struct snapshot_infos){ arena_array(w->a, all.n, sizeof *all.v), 0 };
	for (size_t i = 0; i < all.n; i++)
		if (is_ours(ns, &all.v[i]) && !is_recorded(&records, all.v[i].name))
			w->gone.v[w->gone.n++] = all.v[i];
	return 0;
}

/* Children first: passes until one removes nothing. */
static int remove_gone(struct sweep *w, const char *ns, size_t *ret_removed, struct err *e)
{
	const struct snapshot_remote_at at = remote_at(w->sn, ns);
	bool progress = true;

	while (progress) {
		progress = false;
		for (size_t i = 0; i < w->gone.n; i++) {
			struct err why = { 0 };

			if (!w->gone.v[i].name)
				continue;
			if (w->sn->proxy->remote->remove(&at, w->gone.v[i].name, &why) < 0) {
				if (why.code == ERR_FAILED_PRECONDITION)
					continue;
				if (why.code != ERR_NOT_FOUND)
					return err_copy(e, &why);
			}
			w->gone.v[i].name = NULL;
			progress = true;
			++*ret_removed;
		}
	}
	return 0;
}

static int sweep_namespace(struct sweep *w, const char *ns, size_t *ret_removed, struct err *e)
{
	const struct snapshot_remote_at at = remote_at(w->sn, ns);
	struct err ignored = { 0 };

	if (find_gone(w, ns, e) < 0 || remove_gone(w, ns, ret_removed, e) < 0)
		return -1;
	if (w->gone.n && w->sn->proxy->remote->cleanup(&at, &ignored) < 0 &&
	    ignored.code != ERR_UNIMPLEMENTED)
		return err_copy(e, &ignored);
	return 0;
}

int remote_sweep(struct store *s, struct snapshotter *sn, size_t *ret_removed, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct sweep w = { .s = s, .sn = sn, .a = a };
	struct key every = { .n = 0 };
	struct txn t;

	if (db_read(s->db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, TABLE_NAMESPACES, &every, add_namespace, &w, e);
	db_read_end(&t);

	/* A new snapshot is the plugin's before its record stands: nobody makes one meanwhile.  A
	 * lazy plugin may take minutes to make one, and a collection does not wait for that. */
	if (pthread_rwlock_trywrlock(&sn->dirs) != 0) {
		s->is_gc_due = true;
		strv_done(&w.namespaces);
		return r;
	}
	for (size_t i = 0; i < w.namespaces.n && r == 0; i++)
		r = sweep_namespace(&w, w.namespaces.v[i], ret_removed, e);
	pthread_rwlock_unlock(&sn->dirs);
	strv_done(&w.namespaces);
	return r;
}
