#include "store/image.h"

#include "base/ident.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <string.h>

const struct rec_field image_fields[] = {
	REC(1, TEXT, struct image_record, name),
	REC(2, LABELS, struct image_record, labels),
	REC(3, TEXT, struct image_record, target.media_type),
	REC(4, TEXT, struct image_record, target.digest),
	REC(5, U64, struct image_record, target.size),
	REC(6, LABELS, struct image_record, target.annotations),
	REC(7, TIME, struct image_record, created),
	REC(8, TIME, struct image_record, updated),
	{ 0 },
};

struct call {
	struct arena *a;
	const char *ns, *lease, *name;
	const struct image_record *in;
	const struct mask *mask;
	const struct descriptor *target;
	struct image_record *ret;
};

static int image_check(const struct image_record *r, struct err *e)
{
	if (!r->name || !*r->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "image name must not be empty");
	if (labels_check(&r->labels, e) < 0)
		return err_wrap(e, "image.Labels");
	if (!r->target.digest || !digest_is_valid(r->target.digest))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "Target.Digest \"%s\" invalid: invalid checksum digest format",
			       r->target.digest ?: "");
	if (r->target.size <= 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "Target.Size must be greater than zero");
	if (!r->target.media_type || !*r->target.media_type)
		return err_set(e, ERR_INVALID_ARGUMENT, "Target.MediaType must be set");
	return 0;
}

static int not_found(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "image \"%s\"", name);
}

/* Arena copies, so that *ret does not depend on the request. */
static struct descriptor descriptor_copy(struct arena *a, const struct descriptor *d)
{
	return (struct descriptor){ arena_strdup(a, d->media_type), arena_strdup(a, d->digest),
				    d->size, labels_copy(a, &d->annotations) };
}

static int create(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct image_record r = {
		.name = arena_strdup(c->a, c->in->name),
		.labels = labels_copy(c->a, &c->in->labels),
		.target = descriptor_copy(c->a, &c->in->target),
		.created = c->in->created.tv_sec > 0 ? c->in->created : entry_now(),
	};
	struct key k = KEY(c->ns, r.name);
	int has = entry_has(t, TABLE_IMAGES, &k, e);

	r.updated = r.created;
	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "image \"%s\"", r.name);
	if (namespace_ensure(t, c->ns, e) < 0 ||
	    lease_join(t, c->ns, c->lease, "images", r.name, e) < 0)
		return -1;
	*c->ret = r;
	return entry_put(t, TABLE_IMAGES, &k, image_fields, &r, e);
}

int image_create(struct store *s, const char *ns, const char *lease, struct arena *a,
		 const struct image_record *in, struct image_record *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .lease = lease, .in = in, .ret = ret };

	if (image_check(in, e) < 0)
		return -1;
	return db_write(s->db, create, &c, e);
}

int image_get(struct store *s, const char *ns, struct arena *a, const char *name,
	      struct image_record *ret, struct err *e)
{
	struct key k = KEY(ns, name);
	int has = entry_read(s->db, TABLE_IMAGES, &k, image_fields, a, ret, e);

	return has < 0 ? -1 : has ? 0 : not_found(name, e);
}

static int apply(struct arena *a, const char *path, struct image_record *r,
		 const struct image_record *in, struct err *e)
{
	if (mask_labels(a, path, "labels", &r->labels, &in->labels) ||
	    mask_labels(a, path, "annotations", &r->target.annotations, &in->target.annotations))
		return 0;
	if (strcmp(path, "target") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "cannot update \"%s\" field on image \"%s\"", path, in->name);
	r->target = descriptor_copy(a, &in->target);
	return 0;
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct image_record r;
	struct key k = KEY(c->ns, c->in->name);
	int has = entry_get(t, TABLE_IMAGES, &k, image_fields, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has)
		return not_found(c->in->name, e);
	if (c->mask && c->mask->n) {
		for (size_t i = 0; i < c->mask->n; i++)
			if (apply(c->a, c->mask->paths[i], &r, c->in, e) < 0)
				return -1;
	} else {
		r.labels = labels_copy(c->a, &c->in->labels);
		r.target = descriptor_copy(c->a, &c->in->target);
	}
	if (image_check(&r, e) < 0)
		return -1;
	r.updated = c->in->updated.tv_sec > 0 ? c->in->updated : entry_now();
	if (lease_join(t, c->ns, c->lease, "images", r.name, e) < 0)
		return -1;
	*c->ret = r;
	return entry_put(t, TABLE_IMAGES, &k, image_fields, &r, e);
}

int image_update(struct store *s, const char *ns, const char *lease, struct arena *a,
		 const struct image_record *in, const struct mask *mask, struct image_record *ret,
		 struct err *e)
{
	struct call c = { .a = a, .ns = ns, .lease = lease, .in = in, .mask = mask, .ret = ret };

	if (!in->name || !*in->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "image name is required for update");
	int r = db_write(s->db, update, &c, e);
	if (r == 0)
		store_made_garbage(s); /* the old target may be nobody's now */
	return r;
}

static int delete (struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct image_record r;
	struct key k = KEY(c->ns, c->name);
	int has = entry_get(t, TABLE_IMAGES, &k, image_fields, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has)
		return not_found(c->name, e);
	if (c->target && c->target->digest && *c->target->digest &&
	    strcmp(c->target->digest, r.target.digest) != 0)
		return err_set(e, ERR_NOT_FOUND, "image \"%s\" has target %s, not %s", c->name,
			       r.target.digest, c->target->digest);
	return db_del(t, TABLE_IMAGES, &k, e) < 0 ? -1 : 0;
}

int image_delete(struct store *s, const char *ns, const char *name, const struct descriptor *target,
		 struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct call c = { .a = a, .ns = ns, .name = name, .target = target };
	int r = db_write(s->db, delete, &c, e);

	if (r == 0)
		store_made_garbage(s);
	return r;
}

int image_list(struct store *s, const char *ns, struct arena *a, image_visit *visit, void *arg,
	       struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_IMAGES, &below, image_fields, sizeof(struct image_record),
			   a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}
