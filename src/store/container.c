#include "store/container.h"

#include "base/ident.h"
#include "store/any.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <string.h>

const struct rec_field container_fields[] = {
	REC(1, TEXT, struct container_record, id),
	REC(2, LABELS, struct container_record, labels),
	REC(3, TEXT, struct container_record, image),
	REC(4, TEXT, struct container_record, runtime_name),
	REC(5, ANY, struct container_record, runtime_options),
	REC(6, ANY, struct container_record, spec),
	REC(7, TEXT, struct container_record, snapshotter),
	REC(8, TEXT, struct container_record, snapshot_key),
	REC(9, TEXT, struct container_record, sandbox),
	REC(10, EXTENSIONS, struct container_record, extensions),
	REC(11, TIME, struct container_record, created),
	REC(12, TIME, struct container_record, updated),
	{ 0 },
};

struct call {
	struct arena *a;
	const char *ns, *id;
	const struct container_record *in;
	const struct mask *mask;
	struct container_record *ret;
};

static int check_id(const char *id, struct err *e)
{
	if (!id || !*id)
		return err_set(e, ERR_INVALID_ARGUMENT, "identifier must not be empty");
	if (strlen(id) > 76)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "identifier \"%.300s\" greater than maximum length (76 characters)",
			       id);
	if (!ident_is_valid(id))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "identifier \"%s\" must match pattern "
			       "\"^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$\"",
			       id);
	return 0;
}

static int container_check(const struct container_record *r, struct err *e)
{
	if (check_id(r->id, e) < 0)
		return err_wrap(e, "container.ID");
	for (size_t i = 0; i < r->extensions.n; i++)
		if (!*r->extensions.v[i].key)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "container.Extension keys must not be zero-length");
	if (labels_check(&r->labels, e) < 0)
		return err_wrap(e, "containers.Labels");
	if (!*r->runtime_name)
		return err_set(e, ERR_INVALID_ARGUMENT, "container.Runtime.Name must be set");
	if (!r->spec.type_url)
		return err_set(e, ERR_INVALID_ARGUMENT, "container.Spec must be set");
	if (*r->snapshot_key && !*r->snapshotter)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "container.Snapshotter must be set if container.SnapshotKey is set");
	return 0;
}

static struct container_record record_copy(struct arena *a, const struct container_record *in)
{
	return (struct container_record){
		.id = text_copy(a, in->id),
		.image = text_copy(a, in->image),
		.runtime_name = text_copy(a, in->runtime_name),
		.snapshotter = text_copy(a, in->snapshotter),
		.snapshot_key = text_copy(a, in->snapshot_key),
		.sandbox = text_copy(a, in->sandbox),
		.labels = labels_copy(a, &in->labels),
		.runtime_options = any_copy(a, &in->runtime_options),
		.spec = any_copy(a, &in->spec),
		.extensions = extensions_copy(a, &in->extensions),
	};
}

static int create(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct container_record *r = c->ret;
	struct key k = KEY(c->ns, r->id);
	int has = entry_has(t, TABLE_CONTAINERS, &k, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "container \"%s\"", r->id);
	r->created = r->updated = entry_now();
	if (namespace_ensure(t, c->ns, e) < 0)
		return -1;
	return entry_put(t, TABLE_CONTAINERS, &k, container_fields, r, e);
}

int container_create(struct store *s, const char *ns, struct arena *a,
		     const struct container_record *in, struct container_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .ret = ret };

	*ret = record_copy(a, in);
	if (container_check(ret, e) < 0)
		return err_wrap(e, "create container failed validation");
	return db_write(s->db, create, &c, e);
}

int container_get(struct store *s, const char *ns, struct arena *a, const char *id,
		  struct container_record *ret, struct err *e)
{
	struct key k = KEY(ns, id);
	int has = entry_read(s->db, TABLE_CONTAINERS, &k, container_fields, a, ret, e);

	if (has < 0)
		return -1;
	if (!has)
		return err_set(e, ERR_NOT_FOUND, "container \"%s\" in namespace \"%s\"", id, ns);
	return 0;
}

static int apply(struct arena *a, const char *path, struct container_record *r,
		 const struct container_record *in, struct err *e)
{
	if (mask_labels(a, path, "labels", &r->labels, &in->labels) ||
	    mask_extensions(a, path, &r->extensions, &in->extensions))
		return 0;
	if (strcmp(path, "spec") == 0)
		r->spec = any_copy(a, &in->spec);
	else if (strcmp(path, "image") == 0)
		r->image = text_copy(a, in->image);
	else if (strcmp(path, "snapshotkey") == 0)
		r->snapshot_key = text_copy(a, in->snapshot_key);
	else
		return err_set(e, ERR_INVALID_ARGUMENT, "cannot update \"%s\" field on \"%s\"",
			       path, in->id);
	return 0;
}

/* Without a mask all that may change does; what may not must be named as it is. */
static int apply_all(struct arena *a, struct container_record *r, const struct container_record *in,
		     struct err *e)
{
	static const char *const all[] = { "labels", "spec", "extensions", "image", "snapshotkey" };

	if (strcmp(r->snapshotter, in->snapshotter ?: "") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "container.Snapshotter field is immutable");
	if (strcmp(r->runtime_name, in->runtime_name ?: "") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "container.Runtime.Name field is immutable");
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (apply(a, all[i], r, in, e) < 0)
			return -1;
	return 0;
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct container_record *r = c->ret;
	struct key k = KEY(c->ns, c->in->id);
	int has = entry_get(t, TABLE_CONTAINERS, &k, container_fields, c->a, r, e);

	if (has < 0)
		return -1;
	if (!has)
		return err_set(e, ERR_NOT_FOUND, "container \"%s\"", c->in->id);
	if (!c->mask || c->mask->n == 0) {
		if (apply_all(c->a, r, c->in, e) < 0)
			return -1;
	} else {
		for (size_t i = 0; i < c->mask->n; i++)
			if (apply(c->a, c->mask->paths[i], r, c->in, e) < 0)
				return -1;
	}
	if (container_check(r, e) < 0)
		return err_wrap(e, "update failed validation");
	r->updated = entry_now();
	return entry_put(t, TABLE_CONTAINERS, &k, container_fields, r, e);
}

int container_update(struct store *s, const char *ns, struct arena *a,
		     const struct container_record *in, const struct mask *mask,
		     struct container_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .in = in, .mask = mask, .ret = ret };

	if (!in->id || !*in->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "must specify a container id");
	return db_write(s->db, update, &c, e);
}

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct key k = KEY(c->ns, c->id);
	int had = db_del(t, TABLE_CONTAINERS, &k, e);

	if (had < 0)
		return -1;
	return had ? 0 : err_set(e, ERR_NOT_FOUND, "container %s", c->id);
}

int container_delete(struct store *s, const char *ns, const char *id, struct err *e)
{
	struct call c = { .ns = ns, .id = id };
	int r = db_write(s->db, delete, &c, e);

	if (r == 0)
		store_made_garbage(s);
	return r;
}

int container_list(struct store *s, const char *ns, struct arena *a, container_visit *visit,
		   void *arg, struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_CONTAINERS, &below, container_fields,
			   sizeof(struct container_record), a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}

struct borrowing {
	struct arena *a;
	container_visit *visit;
	void *arg;
};

static int visit_borrowed(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value,
			  void *arg, struct err *e)
{
	struct borrowing *b = arg;
	struct container_record *r = ARENA_NEW(b->a, struct container_record);

	if (rec_decode_borrowed(b->a, container_fields, value, r, e) < 0)
		return -1;
	return b->visit(r, b->arg, e);
}

int container_list_borrowed(struct store *s, const char *ns, struct arena *a,
			    container_visit *visit, container_last *last, void *arg, struct err *e)
{
	struct borrowing b = { a, visit, arg };
	struct key below = PREFIX(ns);
	struct txn t;

	if (db_read(s->db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, TABLE_CONTAINERS, &below, visit_borrowed, &b, e);
	if (r == 0)
		r = last(arg, e);
	db_read_end(&t);
	return r;
}
