#include "store/gc.h"

#include "base/log.h"
#include "base/str.h"
#include "store/activation.h"
#include "store/content_record.h"
#include "store/content_remote.h"
#include "store/entry.h"
#include "store/gc_mark.h"
#include "store/lease.h"
#include "store/record_tables.h"
#include "store/snapshot_record.h"
#include "store/state.h"

#include <string.h>

struct victim {
	const char *ns, *kind, *id;
};

struct victims {
	struct arena *a;
	struct victim *v;
	size_t n, cap;
};

static void add_victim(struct victims *l, const char *ns, const char *kind, const char *id)
{
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct victim){ ns, kind, id };
}

struct run {
	struct arena *a;
	struct nodeset marked;
	struct victims candidates, removed;
	size_t nmarked;
};

/* --- what is not marked; gathered first, since a walk may not change its table --- */

static const char *ns_of(struct arena *a, const MDB_val *key)
{
	return arena_strndup(a, key->mv_data, strnlen(key->mv_data, key->mv_size));
}

static int gather_content(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
			  struct err *e)
{
	struct run *g = arg;
	AUTO_ARENA struct arena *tmp = arena_new();
	struct content_info r;

	if (rec_decode(tmp, content_fields, value, &r, e) < 0)
		return -1;
	if (!nodeset_has(&g->marked, ns_of(tmp, key), "content", r.digest))
		add_victim(&g->candidates, ns_of(g->a, key), "content",
			   arena_strdup(g->a, r.digest));
	return 0;
}

static int gather_snapshot(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value,
			   void *arg, struct err *e)
{
	struct run *g = arg;
	AUTO_ARENA struct arena *tmp = arena_new();
	struct snapshot_record r;

	if (rec_decode(tmp, snapshot_fields, value, &r, e) < 0)
		return -1;

	char *kind = arena_printf(tmp, "snapshots/%s", r.snapshotter);

	if (!nodeset_has(&g->marked, ns_of(tmp, key), kind, r.name))
		add_victim(&g->candidates, ns_of(g->a, key), arena_strdup(g->a, kind),
			   arena_strdup(g->a, r.name));
	return 0;
}

static int gather_activation(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value,
			     void *arg, struct err *e)
{
	struct run *g = arg;
	AUTO_ARENA struct arena *tmp = arena_new();
	struct activation r;

	if (rec_decode(tmp, activation_fields, value, &r, e) < 0)
		return -1;
	if (!nodeset_has(&g->marked, ns_of(tmp, key), "mounts", r.name))
		add_victim(&g->candidates, ns_of(g->a, key), "mounts", arena_strdup(g->a, r.name));
	return 0;
}

/* --- removing --- */

static int remove_activations(struct txn *t, struct run *g, struct err *e)
{
	for (size_t i = 0; i < g->candidates.n; i++) {
		const struct victim *v = &g->candidates.v[i];

		if (strcmp(v->kind, "mounts") != 0)
			continue;
		struct key k = KEY(v->ns, v->id);

		if (db_del(t, TABLE_ACTIVATIONS, &k, e) < 0)
			return -1;
		add_victim(&g->removed, v->ns, v->kind, v->id);
	}
	return 0;
}

static int remove_content(struct txn *t, struct run *g, struct err *e)
{
	for (size_t i = 0; i < g->candidates.n; i++) {
		const struct victim *v = &g->candidates.v[i];

		if (strcmp(v->kind, "content") != 0)
			continue;
		if (content_forget(t, v->ns, v->id, e) < 0)
			return -1;
		add_victim(&g->removed, v->ns, v->kind, v->id);
	}
	return 0;
}

/* Children first: passes over what is left until a pass removes nothing.  A child that is marked
 * marks its parent, so that nothing is left in the end. */
static int remove_snapshots(struct txn *t, struct run *g, struct err *e)
{
	bool progress = true;

	while (progress) {
		progress = false;
		for (size_t i = 0; i < g->candidates.n; i++) {
			struct victim *v = &g->candidates.v[i];
			struct err has_child = { 0 };

			if (!v->id || !str_starts(v->kind, "snapshots/"))
				continue;
			int r = snapshot_forget(t, v->ns, v->kind + strlen("snapshots/"), v->id,
						&has_child);
			if (r < 0 && has_child.code != ERR_FAILED_PRECONDITION)
				return err_copy(e, &has_child);
			if (r < 0)
				continue;
			add_victim(&g->removed, v->ns, v->kind, v->id);
			v->id = NULL;
			progress = true;
		}
	}
	return 0;
}

static int remove_expired(struct txn *t, struct run *g, const struct gc_expired *x, struct err *e)
{
	for (; x; x = x->next) {
		struct key k = KEY(x->ns, x->id);
		int r = strcmp(x->kind, "leases") == 0 ? lease_forget(t, x->ns, x->id, e)
						       : db_del(t, TABLE_IMAGES, &k, e);

		if (r < 0)
			return -1;
		add_victim(&g->removed, x->ns, x->kind, x->id);
	}
	return 0;
}

static void run_done(struct run *g)
{
	nodeset_done(&g->marked);
	free(g->candidates.v);
	free(g->removed.v);
	arena_free(g->a);
	*g = (struct run){ 0 };
}

static int collect(struct txn *t, void *arg, struct err *e)
{
	struct run *g = arg;
	struct gc_expired *expired;
	struct key every = { .n = 0 };

	run_done(g); /* of an attempt on too small a map */
	g->a = arena_new();
	g->marked.a = g->a;
	if (gc_mark(t, &g->marked, &expired, e) < 0)
		return -1;
	g->nmarked = g->marked.n;
	if (db_walk(t, TABLE_CONTENT, &every, gather_content, g, e) < 0 ||
	    db_walk(t, TABLE_SNAPSHOTS, &every, gather_snapshot, g, e) < 0 ||
	    db_walk(t, TABLE_ACTIVATIONS, &every, gather_activation, g, e) < 0)
		return -1;
	if (remove_expired(t, g, expired, e) < 0 || remove_content(t, g, e) < 0 ||
	    remove_snapshots(t, g, e) < 0 || remove_activations(t, g, e) < 0)
		return -1;
	return 0;
}

struct ingest_report {
	gc_removed *removed;
	void *arg;
};

static void ingest_gone(const char *ns, const char *ref, void *arg)
{
	struct ingest_report *r = arg;

	if (r->removed)
		r->removed(ns, "ingests", ref, r->arg);
}

/* What has no record any more, off the disk. */
static int sweep(struct store *s, gc_removed *removed, void *arg, struct gc_stats *ret,
		 struct err *e)
{
	struct ingest_report report = { removed, arg };
	struct err away = { 0 };

	/* mounts first: they may be of what goes next */
	if (activations_sweep(s, &ret->directories, e) < 0 ||
	    content_sweep_ingests(s, ingest_gone, &report, e) < 0 ||
	    content_sweep_blobs(s, &ret->blobs, e) < 0)
		return -1;
	if (s->content.proxy && remote_sweep_blobs(s, &ret->blobs, &away) < 0)
		log_debug(LOG({ "error", away.msg }), "a proxy content store is not cleaned up");
	for (size_t i = 0; i < s->snapshotters.n; i++) {
		struct snapshotter *sn = &s->snapshotters.v[i];
		struct err why = { 0 };

		if (snapshotter_sweep(s, sn, &ret->directories, &why) == 0)
			continue;
		if (!sn->proxy)
			return err_copy(e, &why);
		log_debug(LOG({ "error", why.msg }, { "snapshotter", sn->name }),
			  "a proxy snapshotter is not cleaned up");
	}
	return 0;
}

int gc_run(struct store *s, gc_removed *removed, void *arg, struct gc_stats *ret, struct err *e)
{
	struct gc_stats none;
	struct run g = { 0 };

	ret = ret ?: &none;
	*ret = (struct gc_stats){ 0 };
	pthread_mutex_lock(&s->gc);
	s->is_gc_due = false;
	int r = db_write_quietly(s->db, collect, &g, e);
	if (r == 0) {
		ret->marked = g.nmarked;
		ret->removed = g.removed.n;
		for (size_t i = 0; i < g.removed.n && removed; i++)
			removed(g.removed.v[i].ns, g.removed.v[i].kind, g.removed.v[i].id, arg);
		r = sweep(s, removed, arg, ret, e);
	}
	run_done(&g);
	pthread_mutex_unlock(&s->gc);
	return r;
}

bool gc_is_due(struct store *s)
{
	return s->is_gc_due;
}
