#include "store/snapshot_call.h"

#include "base/log.h"
#include "store/entry.h"
#include "store/snapshot_record.h"
#include "store/snapshot_remote.h"
#include "store/state.h"
#include "store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char target_label[] = "containerd.io/snapshot.ref";
static const char upperdir_label[] = "containerd.io/snapshot/overlay.upperdir";

enum { PARENTS_MAX = 1024 }; /* a chain longer than this is a loop or an attack */

int snapshot_missing(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "snapshot %s does not exist", name);
}

/* The numbers of the parents of r, nearest first. */
static int read_chain(struct txn *t, const struct snapshot_at *at, const char *parent,
		      struct arena *a, struct layers *ret, struct err *e)
{
	uint64_t *numbers = arena_array(a, PARENTS_MAX, sizeof *numbers);
	size_t n = 0;

	while (*parent) {
		struct snapshot_record r;
		int has = snapshot_read(t, at->ns, at->snapshotter, parent, a, &r, e);

		if (has < 0)
			return -1;
		if (!has)
			return err_set(e, ERR_NOT_FOUND, "parent snapshot %s does not exist",
				       parent);
		if (n == PARENTS_MAX)
			return err_set(e, ERR_FAILED_PRECONDITION, "more than %d parents",
				       PARENTS_MAX);
		numbers[n++] = r.number;
		parent = r.parent;
	}
	ret->parents = numbers;
	ret->nparents = n;
	return 0;
}

/* Both or none: a user namespace has both. */
static void read_idmaps(const struct labels *labels, struct layers *ret)
{
	const char *uids = labels_get(labels, "containerd.io/snapshot/uidmapping");
	const char *gids = labels_get(labels, "containerd.io/snapshot/gidmapping");

	ret->uidmap = uids ?: gids;
	ret->gidmap = gids ?: uids;
}

/* --- prepare, view --- */

/* c->parent is there and committed. */
int snapshot_check_parent(struct txn *t, struct call *c, struct err *e)
{
	const struct snapshot_at *at = c->at;
	struct snapshot_record r;
	int has = snapshot_read(t, at->ns, at->snapshotter, c->parent, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has)
		return err_set(e, ERR_NOT_FOUND, "parent snapshot %s does not exist", c->parent);
	if (r.kind != SNAPSHOT_COMMITTED)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "failed to create snapshot: parent \"%s\" is not committed snapshot",
			       c->parent);
	c->parent_remote = r.remote;
	return 0;
}

/* What must hold for a new snapshot: asked before its directory is made, and again with the record.
 * 1: the label's target is there, and the lease has it now. */
static int check_new(struct txn *t, struct call *c, struct err *e)
{
	const struct snapshot_at *at = c->at;
	const char *target = labels_get(c->labels, target_label);
	struct snapshot_record r;
	int has;

	if (target) {
		has = snapshot_read(t, at->ns, at->snapshotter, target, c->a, &r, e);
		if (has != 0)
			return has;
	}
	has = snapshot_read(t, at->ns, at->snapshotter, c->key, c->a, &r, e);
	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "snapshot \"%s\"", c->key);
	return *c->parent ? snapshot_check_parent(t, c, e) : 0;
}

char *snapshot_lease_type(struct arena *a, const char *snapshotter)
{
	return arena_printf(a, "snapshots/%s", snapshotter);
}

int snapshot_add_child(struct txn *t, const struct snapshot_at *at, const char *parent,
		       struct arena *a, int change, struct err *e)
{
	struct snapshot_record r;
	struct key k = KEY(at->ns, at->snapshotter, parent);

	if (!*parent)
		return 0;
	int has = snapshot_read(t, at->ns, at->snapshotter, parent, a, &r, e);
	if (has <= 0)
		return has;
	r.children += (uint64_t)change;
	return entry_put(t, TABLE_SNAPSHOTS, &k, snapshot_fields, &r, e);
}

static int record_new(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	const struct snapshot_at *at = c->at;
	struct snapshot_record r = { .name = c->key,
				     .snapshotter = at->snapshotter,
				     .parent = c->parent,
				     .number = c->number,
				     .kind = c->kind,
				     .remote = c->remote,
				     .labels = labels_copy(c->a, c->labels),
				     .created = entry_now() };
	struct key k = KEY(at->ns, at->snapshotter, c->key);
	int r_new = check_new(t, c, e);

	r.updated = r.created;
	if (r_new != 0)
		return r_new;
	if (namespace_ensure(t, at->ns, e) < 0 ||
	    lease_join(t, at->ns, at->lease, snapshot_lease_type(c->a, at->snapshotter), c->key,
		       e) < 0 ||
	    snapshot_add_child(t, at, c->parent, c->a, 1, e) < 0)
		return -1;
	return entry_put(t, TABLE_SNAPSHOTS, &k, snapshot_fields, &r, e);
}

static int join_target(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;

	return lease_join(t, c->at->ns, c->at->lease, snapshot_lease_type(c->a, c->at->snapshotter),
			  labels_get(c->labels, target_label), e);
}

static int target_exists(struct call *c, struct err *e)
{
	if (db_write(c->s->db, join_target, c, e) < 0)
		return -1;
	return err_set(e, ERR_ALREADY_EXISTS, "target snapshot \"%s\"",
		       labels_get(c->labels, target_label));
}

static int make_dir(struct call *c, const struct layers *l, const char *name, struct err *e)
{
	if (mkdirat(c->sn->fd, name, 0700) < 0)
		return err_sys(e, errno, "create snapshot directory");
	AUTO_FD int dirfd =
		openat(c->sn->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "open snapshot directory");
	return c->sn->ops->make(c->sn, dirfd, l, e);
}

/* The plugin may have had the target all along: then that is what gets the record. */
static int make_remote(struct call *c, struct err *e)
{
	int r = remote_make(c->sn, c->at->ns, c->number, c->kind, c->a, c->key, c->parent_remote,
			    c->labels, &c->remote, c->ret_mounts, e);

	if (r == 1) {
		c->key = labels_get(c->labels, target_label);
		c->kind = SNAPSHOT_COMMITTED;
	}
	return r;
}

static void drop_new(struct call *c, const char *name)
{
	struct err ignored = { 0 }; /* else the clean-up finds it */

	if (c->sn->proxy) {
		const struct snapshot_remote_at at = remote_at(c->sn, c->at->ns);

		(void)c->sn->proxy->remote->remove(&at, c->remote, &ignored);
	} else {
		(void)snapshotter_remove_dir(c->sn, name, &ignored);
	}
}

/* The directory first, then its record; the other way round a crash would leave a record of
 * nothing.  Runs with sn->dirs held shared. */
static int make_new(struct call *c, struct layers *l, struct err *e)
{
	char name[24];
	struct txn t;
	bool is_adopted = false;

	if (db_read(c->s->db, &t, e) < 0)
		return -1;
	int r = check_new(&t, c, e);
	if (r == 0)
		r = read_chain(&t, c->at, c->parent, c->a, l, e);
	db_read_end(&t);
	if (r != 0)
		return r == 1 ? target_exists(c, e) : -1;

	c->number = l->number = atomic_fetch_add(&c->sn->next, 1);
	snprintf(name, sizeof name, "%llu", (unsigned long long)c->number);
	r = c->sn->proxy ? make_remote(c, e) : make_dir(c, l, name, e);
	is_adopted = r == 1;
	if (r >= 0)
		r = db_write(c->s->db, record_new, c, e);
	if (r == 0)
		return is_adopted ? target_exists(c, e) : 0;
	if (!is_adopted && c->number)
		drop_new(c, name);
	return r == 1 ? target_exists(c, e) : -1;
}

static int create(struct store *s, const struct snapshot_at *at, enum snapshot_kind kind,
		  struct arena *a, const char *key, const char *parent, const struct labels *labels,
		  struct mounts *ret, struct err *e)
{
	static const struct labels none;
	struct call c = { .s = s,
			  .at = at,
			  .a = a,
			  .key = key,
			  .parent = parent ?: "",
			  .kind = kind,
			  .labels = labels ?: &none,
			  .remote = "",
			  .parent_remote = "",
			  .ret_mounts = ret };
	struct layers l = { .kind = kind };

	read_idmaps(c.labels, &l);
	if (!key || !*key)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot key must not be empty");
	if (snapshotter_find(s, at->snapshotter, &c.sn, e) < 0 || labels_check(c.labels, e) < 0)
		return -1;
	pthread_rwlock_rdlock(&c.sn->dirs);
	int r = make_new(&c, &l, e);
	pthread_rwlock_unlock(&c.sn->dirs);
	if (r < 0 || c.sn->proxy)
		return r;
	return c.sn->ops->mounts(c.sn, a, &l, ret, e);
}

int snapshot_prepare(struct store *s, const struct snapshot_at *at, struct arena *a,
		     const char *key, const char *parent, const struct labels *labels,
		     struct mounts *ret, struct err *e)
{
	return create(s, at, SNAPSHOT_ACTIVE, a, key, parent, labels, ret, e);
}

int snapshot_view(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		  const char *parent, const struct labels *labels, struct mounts *ret,
		  struct err *e)
{
	return create(s, at, SNAPSHOT_VIEW, a, key, parent, labels, ret, e);
}

/* --- reading --- */

int snapshot_layers(struct store *s, const struct snapshot_at *at, const char *key, struct arena *a,
		    struct snapshotter **ret_sn, struct layers *ret, struct err *e)
{
	struct snapshot_record r;
	struct txn t;

	if (snapshotter_find(s, at->snapshotter, ret_sn, e) < 0 || db_read(s->db, &t, e) < 0)
		return -1;
	int has = snapshot_read(&t, at->ns, at->snapshotter, key, a, &r, e);
	if (has == 0)
		snapshot_missing(key, e);
	if (has == 1) {
		ret->number = r.number;
		ret->kind = (enum snapshot_kind)r.kind;
		ret->ns = at->ns;
		ret->remote = r.remote;
		read_idmaps(&r.labels, ret);
		if (read_chain(&t, at, r.parent, a, ret, e) < 0)
			has = -1;
	}
	db_read_end(&t);
	return has == 1 ? 0 : -1;
}

int snapshot_mounts(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		    struct mounts *ret, struct err *e)
{
	struct snapshotter *sn;
	struct layers l = { 0 };

	if (snapshot_layers(s, at, key, a, &sn, &l, e) < 0)
		return -1;
	if (l.kind == SNAPSHOT_COMMITTED)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "failed to get active mount: snapshot %s is committed", key);
	return sn->ops->mounts(sn, a, &l, ret, e);
}

static struct snapshot_info to_info(const struct snapshotter *sn, struct arena *a,
				    const struct snapshot_record *r)
{
	struct snapshot_info i = {
		(enum snapshot_kind)r->kind, r->name, r->parent, r->labels, r->created, r->updated
	};

	if (sn->opt->upperdir_label)
		labels_set(a, &i.labels, upperdir_label, snapshotter_fs_path(sn, a, r->number));
	return i;
}

static int find(struct store *s, const struct snapshot_at *at, const char *key, struct arena *a,
		struct snapshotter **ret_sn, struct snapshot_record *ret, struct err *e)
{
	struct txn t;

	if (snapshotter_find(s, at->snapshotter, ret_sn, e) < 0 || db_read(s->db, &t, e) < 0)
		return -1;
	int has = snapshot_read(&t, at->ns, at->snapshotter, key, a, ret, e);
	db_read_end(&t);
	if (has < 0)
		return -1;
	return has ? 0 : snapshot_missing(key, e);
}

int snapshot_stat(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		  struct snapshot_info *ret, struct err *e)
{
	struct snapshotter *sn;
	struct snapshot_record r;

	if (find(s, at, key, a, &sn, &r, e) < 0)
		return -1;
	*ret = to_info(sn, a, &r);
	return 0;
}

int snapshot_measure(int fd, struct snapshot_usage *ret, struct err *e)
{
	int r = tree_usage(fd, &ret->size, &ret->inodes);

	return r < 0 ? err_sys(e, -r, "measure snapshot") : 0;
}

int snapshot_usage(struct store *s, const struct snapshot_at *at, const char *key,
		   struct snapshot_usage *ret, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct snapshotter *sn;
	struct snapshot_record r;

	if (find(s, at, key, a, &sn, &r, e) < 0)
		return -1;
	if (sn->proxy) {
		const struct snapshot_remote_at far = remote_at(sn, at->ns);

		return sn->proxy->remote->usage(&far, r.remote, ret, e);
	}
	if (r.kind == SNAPSHOT_COMMITTED) {
		*ret = r.usage;
		return 0;
	}
	AUTO_FD int fd = snapshotter_open_fs(sn, r.number, e);
	return fd < 0 ? -1 : snapshot_measure(fd, ret, e);
}

int snapshot_walk(struct store *s, const struct snapshot_at *at, struct arena *a,
		  snapshot_visit *visit, void *arg, struct err *e)
{
	struct key below = PREFIX(at->ns, at->snapshotter);
	struct snapshotter *sn;
	struct entries all;

	if (snapshotter_find(s, at->snapshotter, &sn, e) < 0)
		return -1;
	int r = entry_list(s->db, TABLE_SNAPSHOTS, &below, snapshot_fields,
			   sizeof(struct snapshot_record), a, &all, e);
	for (size_t i = 0; i < all.n && r == 0; i++) {
		struct snapshot_info info = to_info(sn, a, all.v[i]);

		r = visit(&info, arg, e);
	}
	return r;
}

/* --- changing --- */

static int remove_one(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	int had = snapshot_forget(t, c->at->ns, c->at->snapshotter, c->key, e);

	return had < 0 ? -1 : had ? 0 : snapshot_missing(c->key, e);
}

/* The record is gone whatever happens to the directory: the next clean-up tries again. */
static void remove_now(struct store *s, struct snapshotter *sn)
{
	struct err why = { 0 };
	size_t removed = 0;

	if (snapshotter_sweep(s, sn, &removed, &why) < 0)
		log_debug(LOG({ "error", why.msg }), "a snapshot's directory stays for now");
}

int snapshot_remove(struct store *s, const struct snapshot_at *at, const char *key, struct err *e)
{
	struct call c = { .at = at, .key = key };

	if (snapshotter_find(s, at->snapshotter, &c.sn, e) < 0)
		return -1;
	if (db_write(s->db, remove_one, &c, e) < 0)
		return -1;
	store_made_garbage(s);
	if (c.sn->opt->sync_remove)
		remove_now(s, c.sn);
	return 0;
}

static int update(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	const struct snapshot_at *at = c->at;
	struct snapshot_record r;
	struct key k = KEY(at->ns, at->snapshotter, c->in->name);
	int has = snapshot_read(t, at->ns, at->snapshotter, c->in->name, c->a, &r, e);

	if (has < 0)
		return -1;
	if (!has)
		return snapshot_missing(c->in->name, e);
	if (labels_update(c->a, &r.labels, &c->in->labels, c->mask, "snapshot", c->in->name, e) < 0)
		return -1;
	r.updated = entry_now();
	*c->ret = to_info(c->sn, c->a, &r);
	return entry_put(t, TABLE_SNAPSHOTS, &k, snapshot_fields, &r, e);
}

int snapshot_update(struct store *s, const struct snapshot_at *at, struct arena *a,
		    const struct snapshot_info *in, const struct mask *mask,
		    struct snapshot_info *ret, struct err *e)
{
	struct call c = { .at = at, .a = a, .in = in, .mask = mask, .ret = ret };

	if (snapshotter_find(s, at->snapshotter, &c.sn, e) < 0)
		return -1;
	return db_write(s->db, update, &c, e);
}
