#include "store/lease.h"

#include "base/ident.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <string.h>

enum { TYPE_MAX = 96 }; /* keeps the whole key within LMDB's bound */

const struct rec_field lease_fields[] = {
	REC(1, TEXT, struct lease_record, id),
	REC(2, LABELS, struct lease_record, labels),
	REC(3, TIME, struct lease_record, created),
	{ 0 },
};

const struct rec_field lease_item_fields[] = {
	REC(2, TEXT, struct lease_resource, type),
	REC(3, TEXT, struct lease_resource, id),
	{ 0 },
};

struct call {
	struct arena *a;
	const char *ns, *id;
	const struct lease_record *in;
	struct lease_record *ret;
	const struct lease_resource *resource;
};

static int not_found(const char *id, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "lease \"%s\"", id);
}

static int need_lease(struct txn *t, const char *ns, const char *lease, struct err *e)
{
	struct key k = KEY(ns, lease);
	int has = entry_has(t, TABLE_LEASES, &k, e);

	if (has < 0)
		return -1;
	return has ? 0 : not_found(lease, e);
}

int lease_join(struct txn *t, const char *ns, const char *lease, const char *type, const char *id,
	       struct err *e)
{
	if (!lease || !*lease)
		return 0;

	struct lease_resource r = { .id = id, .type = type };
	struct key k = KEY(ns, lease, type, id);

	if (need_lease(t, ns, lease, e) < 0)
		return -1;
	return entry_put(t, TABLE_LEASE_ITEMS, &k, lease_item_fields, &r, e);
}

int lease_leave(struct txn *t, const char *ns, const char *lease, const char *type, const char *id,
		struct err *e)
{
	if (!lease || !*lease)
		return 0;

	struct key k = KEY(ns, lease, type, id);

	return db_del(t, TABLE_LEASE_ITEMS, &k, e) < 0 ? -1 : 0;
}

static int create(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct lease_record r = { arena_strdup(c->a, c->in->id), labels_copy(c->a, &c->in->labels),
				  entry_now() };
	struct key k = KEY(c->ns, r.id);
	int has = entry_has(t, TABLE_LEASES, &k, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "lease \"%s\"", r.id);
	if (namespace_ensure(t, c->ns, e) < 0)
		return -1;
	*c->ret = r;
	return entry_put(t, TABLE_LEASES, &k, lease_fields, &r, e);
}

int lease_create(struct store *s, const char *ns, struct arena *a, const struct lease_record *in,
		 struct lease_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .in = in, .ret = ret };

	if (!in->id || !*in->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "lease id must be provided");
	if (labels_check(&in->labels, e) < 0)
		return -1;
	return db_write(s->db, create, &c, e);
}

int lease_get(struct store *s, const char *ns, struct arena *a, const char *id,
	      struct lease_record *ret, struct err *e)
{
	struct key k = KEY(ns, id);
	int has = entry_read(s->db, TABLE_LEASES, &k, lease_fields, a, ret, e);

	if (has < 0)
		return -1;
	return has ? 0 : not_found(id, e);
}

int lease_forget(struct txn *t, const char *ns, const char *id, struct err *e)
{
	struct key k = KEY(ns, id), below = PREFIX(ns, id);

	if (entry_delete_below(t, TABLE_LEASE_ITEMS, &below, e) < 0)
		return -1;
	return db_del(t, TABLE_LEASES, &k, e);
}

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	int had = lease_forget(t, c->ns, c->id, e);

	if (had < 0)
		return -1;
	return had ? 0 : not_found(c->id, e);
}

int lease_delete(struct store *s, const char *ns, const char *id, struct err *e)
{
	struct call c = { .ns = ns, .id = id };
	int r = db_write(s->db, delete, &c, e);

	if (r == 0)
		store_made_garbage(s);
	return r;
}

int lease_list(struct store *s, const char *ns, struct arena *a, lease_visit *visit, void *arg,
	       struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_LEASES, &below, lease_fields, sizeof(struct lease_record),
			   a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}

/* --- resources --- */

static int check_resource(const struct lease_resource *r, struct err *e)
{
	const char *slash = strchr(r->type, '/');

	if (strlen(r->type) > TYPE_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid resource type %.100s…", r->type);
	if (strncmp(r->type, "snapshots", 9) == 0 && (r->type[9] == 0 || r->type[9] == '/')) {
		if (!slash || !slash[1] || strchr(slash + 1, '/'))
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid snapshot resource type %s",
				       r->type);
	} else if (strcmp(r->type, "content") == 0) {
		if (!digest_is_valid(r->id))
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid content digest %s", r->id);
	} else if (strcmp(r->type, "ingests") != 0 && strcmp(r->type, "images") != 0 &&
		   strcmp(r->type, "mounts") != 0) {
		return err_set(e, ERR_UNIMPLEMENTED, "resource type %s not supported yet", r->type);
	}
	if (!*r->id)
		return err_set(e, ERR_INVALID_ARGUMENT, "lease resource id must not be empty");
	return 0;
}

static int add(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;

	return lease_join(t, c->ns, c->id, c->resource->type, c->resource->id, e);
}

int lease_add(struct store *s, const char *ns, const char *lease, const struct lease_resource *r,
	      struct err *e)
{
	struct call c = { .ns = ns, .id = lease, .resource = r };

	if (!*lease)
		return err_set(e, ERR_INVALID_ARGUMENT, "lease id must be provided");
	if (check_resource(r, e) < 0)
		return -1;
	return db_write(s->db, add, &c, e);
}

static int drop(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;

	if (need_lease(t, c->ns, c->id, e) < 0)
		return -1;
	return lease_leave(t, c->ns, c->id, c->resource->type, c->resource->id, e);
}

int lease_remove(struct store *s, const char *ns, const char *lease, const struct lease_resource *r,
		 struct err *e)
{
	struct call c = { .ns = ns, .id = lease, .resource = r };

	if (check_resource(r, e) < 0)
		return -1;
	int ret = db_write(s->db, drop, &c, e);
	if (ret == 0)
		store_made_garbage(s);
	return ret;
}

int lease_resources(struct store *s, const char *ns, struct arena *a, const char *lease,
		    struct lease_resource **ret, size_t *ret_n, struct err *e)
{
	struct key k = KEY(ns, lease), below = PREFIX(ns, lease);
	struct lease_record found;
	struct entries all;
	int has = entry_read(s->db, TABLE_LEASES, &k, lease_fields, a, &found, e);

	if (has < 0)
		return -1;
	if (!has)
		return not_found(lease, e);
	if (entry_list(s->db, TABLE_LEASE_ITEMS, &below, lease_item_fields,
		       sizeof(struct lease_resource), a, &all, e) < 0)
		return -1;
	*ret = arena_array(a, all.n, sizeof **ret);
	*ret_n = all.n;
	for (size_t i = 0; i < all.n; i++)
		(*ret)[i] = *(struct lease_resource *)all.v[i];
	return 0;
}
