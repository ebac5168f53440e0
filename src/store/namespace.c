#include "store/namespace.h"

#include "base/ident.h"
#include "base/str.h"
#include "store/entry.h"
#include "store/state.h"

#include <string.h>

struct namespace_record {
	const char *name;
	struct labels labels;
};

static const struct rec_field fields[] = {
	REC(1, TEXT, struct namespace_record, name),
	REC(2, LABELS, struct namespace_record, labels),
	{ 0 },
};

int namespace_ensure(struct txn *t, const char *ns, struct err *e)
{
	struct namespace_record r = { .name = ns };
	struct key k = KEY(ns);
	int has = entry_has(t, TABLE_NAMESPACES, &k, e);

	if (has != 0)
		return has < 0 ? -1 : 0;
	return entry_put(t, TABLE_NAMESPACES, &k, fields, &r, e);
}

struct search {
	const char *label, *value;
	struct strv *ret;
};

static int find(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value, void *arg,
		struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct search *w = arg;
	struct namespace_record r;

	if (rec_decode(a, fields, value, &r, e) < 0)
		return -1;
	const char *has = labels_get(&r.labels, w->label);
	if (has && strcmp(has, w->value) == 0)
		strv_add(w->ret, r.name);
	return 0;
}

int namespace_find(struct txn *t, const char *label, const char *value, struct strv *ret,
		   struct err *e)
{
	struct search w = { label, value, ret };
	struct key every = { .n = 0 };

	return db_walk(t, TABLE_NAMESPACES, &every, find, &w, e);
}

struct change {
	const char *name;
	const struct labels *in;
	const struct mask *mask;
	struct arena *a;
	struct labels *ret;
};

static int not_found(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "namespace \"%s\"", name);
}

static int create(struct txn *t, void *arg, struct err *e)
{
	struct change *c = arg;
	struct namespace_record r = { c->name, *c->in };
	struct key k = KEY(c->name);
	int has = entry_has(t, TABLE_NAMESPACES, &k, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "namespace \"%s\"", c->name);
	return entry_put(t, TABLE_NAMESPACES, &k, fields, &r, e);
}

int namespace_create(struct store *s, const char *name, const struct labels *labels, struct err *e)
{
	struct change c = { .name = name, .in = labels };

	if (!ident_is_valid(name))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "identifier \"%s\" must match pattern "
			       "\"^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$\"",
			       name);
	if (labels_check(labels, e) < 0)
		return -1;
	return db_write(s->db, create, &c, e);
}

int namespace_get(struct store *s, const char *name, struct arena *a, struct labels *ret,
		  struct err *e)
{
	struct namespace_record r;
	struct key k = KEY(name);
	int has = entry_read(s->db, TABLE_NAMESPACES, &k, fields, a, &r, e);

	if (has < 0)
		return -1;
	*ret = has ? r.labels : (struct labels){ 0 };
	return 0;
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct change *c = arg;
	struct namespace_record r;
	struct key k = KEY(c->name);
	int has = entry_get(t, TABLE_NAMESPACES, &k, fields, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has && !ident_is_valid(c->name))
		return not_found(c->name, e);
	if (!has) /* as any first object in it would */
		r = (struct namespace_record){ .name = c->name };
	for (size_t i = 0; c->mask && i < c->mask->n; i++) {
		const char *path = c->mask->paths[i];

		if (strcmp(path, "labels") == 0 ||
		    !mask_labels(c->a, path, "labels", &r.labels, c->in))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "cannot update \"%s\" field on namespace \"%s\"", path,
				       c->name);
	}
	if (!c->mask || c->mask->n == 0)
		r.labels = labels_copy(c->a, c->in);
	if (labels_check(&r.labels, e) < 0)
		return -1;
	*c->ret = r.labels;
	return entry_put(t, TABLE_NAMESPACES, &k, fields, &r, e);
}

int namespace_update(struct store *s, const char *name, struct arena *a, const struct labels *in,
		     const struct mask *mask, struct labels *ret, struct err *e)
{
	struct change c = { name, in, mask, a, ret };

	return db_write(s->db, update, &c, e);
}

/* "images, blobs, snapshots on "overlayfs" snapshotter": what keeps a namespace from going. */
static int list_holdings(struct txn *t, struct store *s, const char *ns, struct str *out,
			 struct err *e)
{
	static const struct {
		enum table table;
		const char *word;
	} kinds[] = { { TABLE_IMAGES, "images" },
		      { TABLE_CONTENT, "blobs" },
		      { TABLE_CONTAINERS, "containers" },
		      { TABLE_SANDBOXES, "sandboxes" },
		      { TABLE_ACTIVATIONS, "mounts" } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct key below = PREFIX(ns);
		int has = entry_has_below(t, kinds[i].table, &below, e);

		if (has < 0)
			return -1;
		if (has)
			str_addf(out, "%s%s", out->len ? ", " : "", kinds[i].word);
	}

	const struct snapshotter_state *states;
	size_t n = snapshotter_list(s, &states);

	for (size_t i = 0; i < n; i++) {
		struct key below = PREFIX(ns, states[i].name);
		int has = entry_has_below(t, TABLE_SNAPSHOTS, &below, e);

		if (has < 0)
			return -1;
		if (has)
			str_addf(out, "%ssnapshots on \"%s\" snapshotter", out->len ? ", " : "",
				 states[i].name);
	}
	return 0;
}

struct deletion {
	struct store *s;
	const char *name;
};

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct deletion *d = arg;
	AUTO_STR struct str holds = STR_INIT(900);
	struct key k = KEY(d->name), below = PREFIX(d->name);

	if (list_holdings(t, d->s, d->name, &holds, e) < 0)
		return -1;
	if (holds.len)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "namespace \"%s\" must be empty, but it still has %s", d->name,
			       str_c(&holds));
	/* Leases do not keep a namespace: they go with it. */
	if (entry_delete_below(t, TABLE_LEASES, &below, e) < 0 ||
	    entry_delete_below(t, TABLE_LEASE_ITEMS, &below, e) < 0)
		return -1;

	int had = db_del(t, TABLE_NAMESPACES, &k, e);
	return had < 0 ? -1 : had ? 0 : not_found(d->name, e);
}

int namespace_delete(struct store *s, const char *name, struct err *e)
{
	struct deletion d = { s, name };

	return db_write(s->db, delete, &d, e);
}

int namespace_list(struct store *s, namespace_visit *visit, void *arg, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct key every = { .n = 0 };
	struct entries all;
	int r = entry_list(s->db, TABLE_NAMESPACES, &every, fields, sizeof(struct namespace_record),
			   a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++) {
		const struct namespace_record *n = all.v[i];

		r = visit(n->name, &n->labels, arg, e);
	}
	return r;
}
