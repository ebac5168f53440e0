#include "store/activation.h"

#include "base/log.h"
#include "base/num.h"
#include "os/dir.h"
#include "os/file.h"
#include "store/any.h"
#include "store/entry.h"
#include "store/record_tables.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

const struct rec_field activation_fields[] = {
	REC(1, TEXT, struct activation, name),
	REC(2, MOUNTS, struct activation, active),
	REC(3, MOUNTS, struct activation, system),
	REC(4, LABELS, struct activation, points),
	REC(5, LABELS, struct activation, labels),
	REC(6, TIME, struct activation, created),
	REC(7, TIME, struct activation, updated),
	REC(8, TEXT, struct activation, boot),
	REC(9, U64, struct activation, number),
	REC(10, U64, struct activation, is_made),
	{ 0 },
};

struct call {
	struct arena *a;
	const char *ns, *lease, *name;
	const struct activation *in;
	const struct mask *mask;
	struct activation *ret;
};

static int not_found(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "mount \"%s\"", name);
}

/* Mounts don't outlive it. */
static const char *boot_id(struct arena *a)
{
	AUTO_FREE char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL);

	return r < 0 ? "" : arena_strndup(a, text, strcspn(text, "\n"));
}

static int forget(struct txn *t, const char *ns, const char *lease, const char *name, struct err *e)
{
	struct key k = KEY(ns, name);

	return db_del(t, TABLE_ACTIVATIONS, &k, e) < 0 ||
			       lease_leave(t, ns, lease, "mounts", name, e) < 0
		       ? -1
		       : 0;
}

/* --- making --- */

static int begin(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct key k = KEY(c->ns, c->name);
	int has = entry_has(t, TABLE_ACTIVATIONS, &k, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "mount \"%s\"", c->name);
	if (namespace_ensure(t, c->ns, e) < 0 ||
	    lease_join(t, c->ns, c->lease, "mounts", c->name, e) < 0)
		return -1;
	return entry_put(t, TABLE_ACTIVATIONS, &k, activation_fields, c->ret, e);
}

static int complete(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct key k = KEY(c->ns, c->name);

	return entry_put(t, TABLE_ACTIVATIONS, &k, activation_fields, c->ret, e);
}

static int drop(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;

	return forget(t, c->ns, c->lease, c->name, e);
}

/* What is left when this fails, too, goes with the next start. */
static void take_back(struct store *s, struct call *c)
{
	struct err why = { 0 };

	if (activation_undo(&s->activations, c->ret->number, &why) < 0 ||
	    db_write(s->db, drop, c, &why) < 0)
		log_warn(LOG({ "error", why.msg }, { "name", c->name }),
			 "cannot undo an activation that failed");
}

static int check(const struct activation_new *n, struct err *e)
{
	if (!*n->name)
		return err_set(e, ERR_INVALID_ARGUMENT, "mount name is required");
	if (n->mounts.n > ACTIVATION_MOUNTS)
		return err_set(e, ERR_INVALID_ARGUMENT, "too many mounts (%zu): maximum %d",
			       n->mounts.n, ACTIVATION_MOUNTS);
	return labels_check(&n->labels, e);
}

int activation_create(struct store *s, const struct activation_new *n, struct arena *a,
		      struct activation *ret, struct err *e)
{
	int share = activation_share(n);
	struct call c = { .ns = n->ns, .lease = n->lease, .name = n->name, .ret = ret };

	if (check(n, e) < 0)
		return -1;
	if (share < 0)
		return err_set(e, ERR_UNIMPLEMENTED, "no mount is for the mount manager");
	*ret = (struct activation){ .name = arena_strdup(a, n->name),
				    .labels = labels_copy(a, &n->labels),
				    .created = entry_now(),
				    .boot = boot_id(a),
				    .number = atomic_fetch_add(&s->activations.next, 1) };
	ret->updated = ret->created;
	if (db_write(s->db, begin, &c, e) < 0)
		return -1;
	if (activation_make(s, n, (size_t)share, a, ret, e) < 0) {
		take_back(s, &c);
		return -1;
	}
	ret->is_made = true;
	ret->updated = entry_now();
	if (db_write(s->db, complete, &c, e) < 0) {
		take_back(s, &c);
		return -1;
	}
	return 0;
}

/* --- undoing --- */

static int take_out(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct key k = KEY(c->ns, c->name);
	int has = entry_get(t, TABLE_ACTIVATIONS, &k, activation_fields, c->a, c->ret, e);

	if (has <= 0)
		return has < 0 ? -1 : not_found(c->name, e);
	if (!c->ret->is_made)
		return err_set(e, ERR_UNAVAILABLE, "mount \"%s\" is being activated", c->name);
	return forget(t, c->ns, NULL, c->name, e);
}

int activation_remove(struct store *s, const char *ns, const char *name, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct activation r;
	struct call c = { .a = a, .ns = ns, .name = name, .ret = &r };

	if (db_write(s->db, take_out, &c, e) < 0)
		return -1;
	store_made_garbage(s); /* its labels may have held something; or it is busy */
	return activation_undo(&s->activations, r.number, e);
}

struct known {
	struct store *s;
	struct arena *a;
	const char *boot; /* NULL: only look */
	struct {
		const char *ns, *name;
	} * stale;
	uint64_t *numbers; /* of records */
	uint64_t *folders;
	size_t n, cap, n_folders, cap_folders, n_stale, cap_stale;
};

static int see(struct txn *t UNUSED, const MDB_val *key, const MDB_val *value, void *arg,
	       struct err *e)
{
	struct known *k = arg;
	struct activation r;

	if (rec_decode(k->a, activation_fields, value, &r, e) < 0)
		return -1;
	if (k->boot && (strcmp(r.boot, k->boot) != 0 || !r.is_made)) {
		GROW(k->stale, k->n_stale, k->cap_stale);
		k->stale[k->n_stale].ns =
			arena_strndup(k->a, key->mv_data, strnlen(key->mv_data, key->mv_size));
		k->stale[k->n_stale++].name = r.name;
		return 0;
	}
	GROW(k->numbers, k->n, k->cap);
	k->numbers[k->n++] = r.number;
	if (k->boot && r.number >= k->s->activations.next)
		k->s->activations.next = r.number + 1;
	return 0;
}

static int drop_stale(struct txn *t, void *arg, struct err *e)
{
	struct known *k = arg;
	struct key every = { .n = 0 };

	k->n = k->n_stale = 0;
	if (db_walk(t, TABLE_ACTIVATIONS, &every, see, k, e) < 0)
		return -1;
	for (size_t i = 0; i < k->n_stale; i++)
		if (forget(t, k->stale[i].ns, NULL, k->stale[i].name, e) < 0)
			return -1;
	return 0;
}

static void known_done(struct known *k)
{
	free(k->stale);
	free(k->numbers);
	free(k->folders);
	arena_free(k->a);
}

/* Folders come after their records, so that they are looked at first: one that is in no record then
 * is in none any more. */
static int see_folders(struct known *k, struct err *e)
{
	struct activations *all = &k->s->activations;
	AUTO_STRV struct strv names = { 0 };
	int r = dir_names(all->fd, ".", &names);
	uint64_t number;

	if (r < 0)
		return err_sys(e, -r, "open %s", all->path);
	for (size_t i = 0; i < names.n; i++)
		if (num_u64(names.v[i], &number) == 0) {
			GROW(k->folders, k->n_folders, k->cap_folders);
			k->folders[k->n_folders++] = number;
		}
	return 0;
}

/* One that is busy stays for the next time. */
static size_t undo_unknown(struct known *k)
{
	size_t removed = 0;

	for (size_t i = 0; i < k->n_folders; i++) {
		struct err why = { 0 };
		bool is_known = false;

		for (size_t j = 0; j < k->n && !is_known; j++)
			is_known = k->numbers[j] == k->folders[i];
		if (is_known)
			continue;
		if (activation_undo(&k->s->activations, k->folders[i], &why) < 0)
			log_warn(LOG({ "error", why.msg }),
				 "mounts are left for the next collection");
		else
			removed++;
	}
	return removed;
}

static int see_records(struct known *k, struct err *e)
{
	struct key every = { .n = 0 };
	struct txn t = { 0 };
	int r = db_read(k->s->db, &t, e);

	if (r == 0)
		r = db_walk(&t, TABLE_ACTIVATIONS, &every, see, k, e);
	db_read_end(&t);
	return r;
}

/* A disk that is full keeps nobody from starting. */
int activations_recover(struct store *s, struct err *e)
{
	struct known k = { .s = s, .a = arena_new() };
	struct err why = { 0 };

	k.boot = boot_id(k.a);
	int r = see_folders(&k, e);
	if (r == 0)
		r = see_records(&k, e);
	if (r == 0 && k.n_stale && db_write_quietly(s->db, drop_stale, &k, &why) < 0)
		log_warn(LOG({ "error", why.msg }),
			 "records of mounts that are gone are left for the next start");
	if (r == 0)
		(void)undo_unknown(&k); /* a count */
	known_done(&k);
	return r;
}

int activations_sweep(struct store *s, size_t *ret_removed, struct err *e)
{
	struct known k = { .s = s, .a = arena_new() };
	int r = see_folders(&k, e);

	if (r == 0 && k.n_folders)
		r = see_records(&k, e);
	if (r == 0)
		*ret_removed += undo_unknown(&k);
	known_done(&k);
	return r;
}

/* --- looking, and labels --- */

int activation_get(struct store *s, const char *ns, struct arena *a, const char *name,
		   struct activation *ret, struct err *e)
{
	struct key k = KEY(ns, name);
	int has = entry_read(s->db, TABLE_ACTIVATIONS, &k, activation_fields, a, ret, e);

	return has < 0 ? -1 : has ? 0 : not_found(name, e);
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	struct activation *r = c->ret;
	struct key k = KEY(c->ns, c->in->name);
	int has = entry_get(t, TABLE_ACTIVATIONS, &k, activation_fields, c->a, r, e);

	if (has <= 0)
		return has < 0 ? -1 : not_found(c->in->name, e);
	if (!r->is_made)
		return err_set(e, ERR_UNAVAILABLE, "mount \"%s\" is being activated", r->name);
	if (labels_update(c->a, &r->labels, &c->in->labels, c->mask, "mount", r->name, e) < 0)
		return -1;
	r->updated = entry_now();
	return entry_put(t, TABLE_ACTIVATIONS, &k, activation_fields, r, e);
}

int activation_update(struct store *s, const char *ns, struct arena *a, const struct activation *in,
		      const struct mask *mask, struct activation *ret, struct err *e)
{
	struct call c = { .a = a, .ns = ns, .in = in, .mask = mask, .ret = ret };
	int r = db_write(s->db, update, &c, e);

	if (r == 0)
		store_made_garbage(s); /* its labels are what holds it */
	return r;
}

int activation_list(struct store *s, const char *ns, struct arena *a, activation_visit *visit,
		    void *arg, struct err *e)
{
	struct key below = PREFIX(ns);
	struct entries all;
	int r = entry_list(s->db, TABLE_ACTIVATIONS, &below, activation_fields,
			   sizeof(struct activation), a, &all, e);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = visit(all.v[i], arg, e);
	return r;
}
