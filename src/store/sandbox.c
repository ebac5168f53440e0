#include "store/sandbox.h"

#include "base/ident.h"
#include "store/any.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <string.h>

const struct rec_field sandbox_fields[] = {
	REC(1, TEXT, struct sandbox_record, id),
	REC(2, TEXT, struct sandbox_record, sandboxer),
	REC(3, TEXT, struct sandbox_record, runtime_name),
	REC(4, ANY, struct sandbox_record, runtime_options),
	REC(5, ANY, struct sandbox_record, spec),
	REC(6, LABELS, struct sandbox_record, labels),
	REC(7, EXTENSIONS, struct sandbox_record, extensions),
	REC(8, TIME, struct sandbox_record, created),
	REC(9, TIME, struct sandbox_record, updated),
	{ 0 },
};

struct call {
	struct arena *a;
	const char *ns, *id;
	const struct sandbox_record *in;
	const struct mask *mask;
	struct sandbox_record *ret;
};

static int check(const struct sandbox_record *r, struct err *e)
{
	if (!ident_is_valid(r->id) || strlen(r->id) > 76)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid sandbox ID: identifier \"%.300s\" must match "
			       "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
			       r->id);
	for (size_t i = 0; i < r->extensions.n; i++)
		if (!*r->extensions.v[i].key)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "sandbox.Extension keys must not be zero-length");
	return labels_check(&r->labels, e);
}

static int create(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct sandbox_record *r = c->ret;
	struct key k = KEY(c->ns, r->id);
	int has = entry_has(t, TABLE_SANDBOXES, &k, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS,
			       "write error: sandbox bucket \"%s\" already exists", r->id);
	r->created = r->updated = entry_now();
	if (namespace_ensure(t, c->ns, e) < 0)
		return -1;
	return entry_put(t, TABLE_SANDBOXES, &k, sandbox_fields, r, e);
}

int sandbox_create(struct store *s, const char *ns, struct arena *a,
		   const struct sandbox_record *in, struct sandbox_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .ret = ret };

	*ret = (struct sandbox_record){
		.id = text_copy(a, in->id),
		.sandboxer = text_copy(a, in->sandboxer),
		.runtime_name = text_copy(a, in->runtime_name),
		.runtime_options = any_copy(a, &in->runtime_options),
		.spec = any_copy(a, &in->spec),
		.labels = labels_copy(a, &in->labels),
		.extensions = extensions_copy(a, &in->extensions),
	};
	if (check(ret, e) < 0)
		return err_wrap(e, "failed to validate sandbox");
	return db_write(s->db, create, &c, e);
}

static int not_found(const char *id, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "bucket \"%s\" not found", id);
}

int sandbox_get(struct store *s, const char *ns, struct arena *a, const char *id,
		struct sandbox_record *ret, struct err *e)
{
	struct key k = KEY(ns, id);
	int has = entry_read(s->db, TABLE_SANDBOXES, &k, sandbox_fields, a, ret, e);

	return has < 0 ? -1 : has ? 0 : not_found(id, e);
}

static int apply(struct arena *a, const char *path, struct sandbox_record *r,
		 const struct sandbox_record *in, struct err *e)
{
	if (mask_labels(a, path, "labels", &r->labels, &in->labels) ||
	    mask_extensions(a, path, &r->extensions, &in->extensions))
		return 0;
	if (strcmp(path, "spec") == 0) {
		r->spec = any_copy(a, &in->spec);
	} else if (strcmp(path, "runtime") == 0) {
		r->runtime_name = text_copy(a, in->runtime_name);
		r->runtime_options = any_copy(a, &in->runtime_options);
	} else {
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot update \"%s\" field on sandbox \"%s\"", path, in->id);
	}
	return 0;
}

static int update(struct txn *t, void *arg, struct err *e)
{
	static const char *all[] = { "labels", "extensions", "spec", "runtime" };
	static const struct mask whole = { .paths = all, .n = ARRAY_LEN(all) };
	struct call *c = arg;
	struct sandbox_record *r = c->ret;
	struct key k = KEY(c->ns, c->in->id);
	int has = entry_get(t, TABLE_SANDBOXES, &k, sandbox_fields, c->a, r, e);
	bool is_whole = !c->mask || !c->mask->n;
	const struct mask *mask = is_whole ? &whole : c->mask;

	if (has <= 0)
		return has < 0 ? -1 : not_found(c->in->id, e);
	if (is_whole && strcmp(r->runtime_name, c->in->runtime_name ?: "") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "sandbox.Runtime.Name field is immutable");
	for (size_t i = 0; i < mask->n; i++)
		if (apply(c->a, mask->paths[i], r, c->in, e) < 0)
			return -1;
	if (check(r, e) < 0)
		return -1;
	r->updated = entry_now();
	return entry_put(t, TABLE_SANDBOXES, &k, sandbox_fields, r, e);
}

int sandbox_update(struct store *s, const char *ns, struct arena *a,
		   const struct sandbox_record *in, const struct mask *mask,
		   struct sandbox_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .in = in, .mask = mask, .ret = ret };

	return db_write(s->db, update, &c, e);
}

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct key k = KEY(c->ns, c->id);
	int had = db_del(t, TABLE_SANDBOXES, &k, e);

	if (had < 0)
		return -1;
	return had ? 0 : err_set(e, ERR_NOT_FOUND, "failed to delete sandbox \"%s\"", c->id);
}

int sandbox_delete(struct store *s, const char *ns, const char *id, struct err *e)
{
	struct call c = { .ns = ns, .id = id };
	int r = db_write(s->db, delete, &c, e);

	if (r == 0)
		store_made_garbage(s); /* its labels may have held something */
	return r;
}

int sandbox_list(struct store *s, const char *ns, struct arena *a, sandbox_visit *visit, void *arg,
		 struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_SANDBOXES, &below, sandbox_fields,
			   sizeof(struct sandbox_record), a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}
