#include "store/entry.h"

#include <string.h>

struct timespec entry_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t;
}

int entry_get(struct txn *t, enum table table, const struct key *k, const struct rec_field *fields,
	      struct arena *a, void *record, struct err *e)
{
	MDB_val v;
	int r = db_get(t, table, k, &v, e);

	if (r <= 0)
		return r;
	return rec_decode(a, fields, &v, record, e) < 0 ? -1 : 1;
}

int entry_put(struct txn *t, enum table table, const struct key *k, const struct rec_field *fields,
	      const void *record, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(REC_MAX);

	rec_encode(&out, fields, record);
	if (out.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "metadata: record larger than %d bytes",
			       REC_MAX);
	return db_put(t, table, k, out.ptr, out.len, e);
}

int entry_has(struct txn *t, enum table table, const struct key *k, struct err *e)
{
	MDB_val v;

	return db_get(t, table, k, &v, e);
}

static int stop_at_first(struct txn *t UNUSED, const MDB_val *key UNUSED,
			 const MDB_val *value UNUSED, void *arg UNUSED, struct err *e UNUSED)
{
	return 1;
}

int entry_has_below(struct txn *t, enum table table, const struct key *prefix, struct err *e)
{
	return db_walk(t, table, prefix, stop_at_first, NULL, e);
}

static int take_first(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value UNUSED,
		      void *arg, struct err *e UNUSED)
{
	struct key *ret = arg;

	memcpy(ret->bytes, key->mv_data, key->mv_size);
	ret->n = key->mv_size;
	return 1;
}

/* One by one: a walk may not change the table it walks. */
int entry_delete_below(struct txn *t, enum table table, const struct key *prefix, struct err *e)
{
	struct key found;
	int r;

	while ((r = db_walk(t, table, prefix, take_first, &found, e)) == 1)
		if (db_del(t, table, &found, e) < 0)
			return -1;
	return r;
}

int entry_read(struct db *db, enum table table, const struct key *k, const struct rec_field *fields,
	       struct arena *a, void *record, struct err *e)
{
	struct txn t;

	if (db_read(db, &t, e) < 0)
		return -1;
	int has = entry_get(&t, table, k, fields, a, record, e);
	db_read_end(&t);
	return has;
}

struct listing {
	const struct rec_field *fields;
	size_t size;
	struct arena *a;
	void **v; /* malloc'd while it grows */
	size_t n, cap;
};

static int list_one(struct txn *t UNUSED, const MDB_val *key UNUSED, const MDB_val *value,
		    void *arg, struct err *e)
{
	struct listing *l = arg;

	GROW(l->v, l->n, l->cap);
	l->v[l->n] = arena_alloc(l->a, l->size);
	return rec_decode(l->a, l->fields, value, l->v[l->n++], e);
}

int entry_list(struct db *db, enum table table, const struct key *prefix,
	       const struct rec_field *fields, size_t size, struct arena *a, struct entries *ret,
	       struct err *e)
{
	struct listing l = { .fields = fields, .size = size, .a = a };
	struct txn t;

	*ret = (struct entries){ 0 };
	if (db_read(db, &t, e) < 0)
		return -1;
	int r = db_walk(&t, table, prefix, list_one, &l, e);
	db_read_end(&t);
	*ret = (struct entries){ arena_memdup(a, l.v, l.n * sizeof *l.v), l.n };
	free(l.v);
	return r;
}
