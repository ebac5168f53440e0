#include "store/gc_mark.h"

#include "base/str.h"
#include "base/timefmt.h"
#include "store/activation.h"
#include "store/container.h"
#include "store/content.h"
#include "store/entry.h"
#include "store/image.h"
#include "store/lease.h"
#include "store/record_tables.h"
#include "store/sandbox.h"
#include "store/snapshot_record.h"

#include <string.h>

/* from is marked when on is: a containerd.io/gc.bref label of from. */
struct back_reference {
	const char *ns, *on_kind, *on_id, *from_kind, *from_id;
	struct back_reference *next;
};

struct mark {
	struct txn *t;
	struct arena *a;
	struct nodeset *marked;
	struct gc_expired *expired;
	struct back_reference *back;
	struct timespec now;
};

static const char ref_prefix[] = "containerd.io/gc.ref.";
static const char bref_prefix[] = "containerd.io/gc.bref.";

/* "content", "image", "container", "mount" or "snapshot.NAME", each with anything behind a "." or
 * "/", to a kind; NULL for what we do not have. */
static const char *kind_of(struct arena *a, const char *what)
{
	static const struct {
		const char *word, *kind;
	} kinds[] = { { "content", "content" },
		      { "image", "images" },
		      { "container", "containers" },
		      { "mount", "mounts" } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].word);

		if (strncmp(what, kinds[i].word, n) == 0 &&
		    (what[n] == 0 || what[n] == '.' || what[n] == '/'))
			return kinds[i].kind;
	}
	if (str_starts(what, "snapshot.") && what[9]) {
		const char *name = what + 9;

		return arena_printf(a, "snapshots/%.*s", (int)strcspn(name, "/"), name);
	}
	return NULL;
}

static void follow_labels(struct mark *m, const char *ns, const struct labels *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!str_starts(l->v[i].key, ref_prefix))
			continue;
		const char *kind = kind_of(m->a, l->v[i].key + strlen(ref_prefix));

		if (kind)
			nodeset_mark(m->marked, ns, kind, l->v[i].value, true);
	}
}

/* -1 past, 1 to come, 0 none; an unreadable time is to come: nothing is lost by a typing error. */
static int expiry(const struct mark *m, const struct labels *l)
{
	const char *text = labels_get(l, "containerd.io/gc.expire");
	struct timespec t;

	if (!text)
		return 0;
	if (timefmt_parse(text, &t) < 0)
		return 1;
	return t.tv_sec < m->now.tv_sec ||
			       (t.tv_sec == m->now.tv_sec && t.tv_nsec <= m->now.tv_nsec)
		       ? -1
		       : 1;
}

static void expire(struct mark *m, const char *ns, const char *kind, const char *id)
{
	struct gc_expired *x = ARENA_NEW(m->a, struct gc_expired);

	*x = (struct gc_expired){ ns, kind, id, m->expired };
	m->expired = x;
}

/* Labels that make an object a root, or hang it below another one. */
static void root_by_labels(struct mark *m, const char *ns, const char *kind, const char *id,
			   const struct labels *l)
{
	if (labels_get(l, "containerd.io/gc.root") || expiry(m, l) > 0)
		nodeset_mark(m->marked, ns, kind, id, true);
	for (size_t i = 0; i < l->n; i++) {
		if (!str_starts(l->v[i].key, bref_prefix))
			continue;
		const char *on = kind_of(m->a, l->v[i].key + strlen(bref_prefix));

		if (!on)
			continue;
		struct back_reference *b = ARENA_NEW(m->a, struct back_reference);

		*b = (struct back_reference){ ns, on, l->v[i].value, kind, id, m->back };
		m->back = b;
	}
}

/* --- roots, table by table; the namespace is the first name of every key --- */

static const char *ns_of(struct mark *m, const MDB_val *key)
{
	return arena_strndup(m->a, key->mv_data, strnlen(key->mv_data, key->mv_size));
}

static int root_image(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
		      struct err *e)
{
	struct mark *m = arg;
	struct image_record r;

	if (rec_decode(m->a, image_fields, value, &r, e) < 0)
		return -1;
	if (expiry(m, &r.labels) < 0)
		expire(m, ns_of(m, key), "images", r.name);
	else
		nodeset_mark(m->marked, ns_of(m, key), "images", r.name, true);
	return 0;
}

static int root_container(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
			  struct err *e)
{
	struct mark *m = arg;
	struct container_record r;

	if (rec_decode(m->a, container_fields, value, &r, e) < 0)
		return -1;

	const char *ns = ns_of(m, key);

	nodeset_mark(m->marked, ns, "containers", r.id, true);
	if (*r.snapshotter && *r.snapshot_key)
		nodeset_mark(m->marked, ns, arena_printf(m->a, "snapshots/%s", r.snapshotter),
			     r.snapshot_key, true);
	follow_labels(m, ns, &r.labels);
	return 0;
}

static int root_sandbox(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
			struct err *e)
{
	struct mark *m = arg;
	struct sandbox_record r;

	if (rec_decode(m->a, sandbox_fields, value, &r, e) < 0)
		return -1;
	follow_labels(m, ns_of(m, key), &r.labels);
	return 0;
}

static int root_content(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
			struct err *e)
{
	struct mark *m = arg;
	struct content_info r;

	if (rec_decode(m->a, content_fields, value, &r, e) < 0)
		return -1;
	root_by_labels(m, ns_of(m, key), "content", r.digest, &r.labels);
	return 0;
}

static int root_snapshot(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
			 struct err *e)
{
	struct mark *m = arg;
	struct snapshot_record r;

	if (rec_decode(m->a, snapshot_fields, value, &r, e) < 0)
		return -1;
	root_by_labels(m, ns_of(m, key), arena_printf(m->a, "snapshots/%s", r.snapshotter), r.name,
		       &r.labels);
	return 0;
}

/* One that is being made has nobody yet who could refer to it. */
static int root_activation(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value,
			   void *arg, struct err *e)
{
	struct mark *m = arg;
	struct activation r;

	if (rec_decode(m->a, activation_fields, value, &r, e) < 0)
		return -1;
	root_by_labels(m, ns_of(m, key), "mounts", r.name, &r.labels);
	if (!r.is_made)
		nodeset_mark(m->marked, ns_of(m, key), "mounts", r.name, true);
	return 0;
}

struct leased {
	struct mark *m;
	const char *ns;
	bool is_flat;
};

static int root_leased(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value,
		       void *arg, struct err *e)
{
	struct leased *l = arg;
	struct lease_resource r;

	if (rec_decode(l->m->a, lease_item_fields, value, &r, e) < 0)
		return -1;
	nodeset_mark(l->m->marked, l->ns, r.type, r.id, !l->is_flat);
	return 0;
}

static int root_lease(struct txn *t, const MDB_val *key, const MDB_val *value, void *arg,
		      struct err *e)
{
	struct mark *m = arg;
	struct lease_record r;

	if (rec_decode(m->a, lease_fields, value, &r, e) < 0)
		return -1;

	struct leased l = { m, ns_of(m, key), labels_get(&r.labels, "containerd.io/gc.flat") };

	if (expiry(m, &r.labels) < 0) {
		expire(m, l.ns, "leases", r.id);
		return 0;
	}
	follow_labels(m, l.ns, &r.labels);

	struct key items = PREFIX(l.ns, r.id);
	return db_walk(t, TABLE_LEASE_ITEMS, &items, root_leased, &l, e);
}

/* --- from one object to the next --- */

static int follow_content(struct mark *m, const struct node *n, struct err *e)
{
	struct key k = KEY(n->ns, n->id);
	struct content_info r;
	int has = entry_get(m->t, TABLE_CONTENT, &k, content_fields, m->a, &r, e);

	if (has == 1)
		follow_labels(m, n->ns, &r.labels);
	return has < 0 ? -1 : 0;
}

static int follow_image(struct mark *m, const struct node *n, struct err *e)
{
	struct key k = KEY(n->ns, n->id);
	struct image_record r;
	int has = entry_get(m->t, TABLE_IMAGES, &k, image_fields, m->a, &r, e);

	if (has == 1) {
		nodeset_mark(m->marked, n->ns, "content", r.target.digest, true);
		follow_labels(m, n->ns, &r.labels);
	}
	return has < 0 ? -1 : 0;
}

static int follow_snapshot(struct mark *m, const struct node *n, struct err *e)
{
	struct snapshot_record r;
	int has = snapshot_read(m->t, n->ns, n->kind + strlen("snapshots/"), n->id, m->a, &r, e);

	if (has == 1) {
		if (*r.parent)
			nodeset_mark(m->marked, n->ns, n->kind, r.parent, true);
		follow_labels(m, n->ns, &r.labels);
	}
	return has < 0 ? -1 : 0;
}

static int follow_activation(struct mark *m, const struct node *n, struct err *e)
{
	struct key k = KEY(n->ns, n->id);
	struct activation r;
	int has = entry_get(m->t, TABLE_ACTIVATIONS, &k, activation_fields, m->a, &r, e);

	if (has == 1)
		follow_labels(m, n->ns, &r.labels);
	return has < 0 ? -1 : 0;
}

static int follow(struct mark *m, const struct node *n, struct err *e)
{
	for (const struct back_reference *b = m->back; b; b = b->next)
		if (strcmp(b->on_id, n->id) == 0 && strcmp(b->on_kind, n->kind) == 0 &&
		    strcmp(b->ns, n->ns) == 0)
			nodeset_mark(m->marked, b->ns, b->from_kind, b->from_id, true);
	if (strcmp(n->kind, "content") == 0)
		return follow_content(m, n, e);
	if (strcmp(n->kind, "images") == 0)
		return follow_image(m, n, e);
	if (strcmp(n->kind, "mounts") == 0)
		return follow_activation(m, n, e);
	if (str_starts(n->kind, "snapshots/"))
		return follow_snapshot(m, n, e);
	return 0;
}

int gc_mark(struct txn *t, struct nodeset *marked, struct gc_expired **ret_expired, struct err *e)
{
	static const struct {
		enum table table;
		db_visit *visit;
	} roots[] = { { TABLE_IMAGES, root_image },          { TABLE_CONTAINERS, root_container },
		      { TABLE_SANDBOXES, root_sandbox },     { TABLE_CONTENT, root_content },
		      { TABLE_SNAPSHOTS, root_snapshot },    { TABLE_LEASES, root_lease },
		      { TABLE_ACTIVATIONS, root_activation } };
	struct mark m = { .t = t, .a = marked->a, .marked = marked, .now = entry_now() };
	struct key every = { .n = 0 };
	struct node *n;

	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (db_walk(t, roots[i].table, &every, roots[i].visit, &m, e) < 0)
			return -1;
	while ((n = nodeset_next(marked)))
		if (follow(&m, n, e) < 0)
			return -1;
	*ret_expired = m.expired;
	return 0;
}
