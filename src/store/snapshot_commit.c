/* An active snapshot becomes a committed one. */
#include "store/snapshot_call.h"

#include "store/entry.h"
#include "store/snapshot_remote.h"
#include "store/state.h"

#include <errno.h>
#include <string.h>

/* From no parent to c->parent. */
static int check_rebase(struct txn *t, struct call *c, const struct snapshot_record *r,
			struct err *e)
{
	if (*r->parent)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "failed to commit snapshot %s: cannot change parent of active "
			       "snapshot \"%s\" on commit",
			       c->key, c->key);
	if (!c->sn->proxy && !c->sn->ops->has_lowers)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "snapshotter %s cannot commit on another parent: a snapshot holds "
			       "the whole tree",
			       c->sn->name);
	return snapshot_check_parent(t, c, e);
}

static int check_commit(struct txn *t, struct call *c, struct snapshot_record *ret, struct err *e)
{
	const struct snapshot_at *at = c->at;
	struct snapshot_record other;
	int has = snapshot_read(t, at->ns, at->snapshotter, c->name, c->a, &other, e);

	if (has < 0)
		return -1;
	if (has)
		return err_set(e, ERR_ALREADY_EXISTS, "snapshot \"%s\"", c->name);
	has = snapshot_read(t, at->ns, at->snapshotter, c->key, c->a, ret, e);
	if (has < 0)
		return -1;
	if (!has)
		return snapshot_missing(c->key, e);
	if (ret->kind != SNAPSHOT_ACTIVE)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "failed to commit snapshot: snapshot %s is not active", c->key);
	return *c->parent && strcmp(c->parent, ret->parent) != 0 ? check_rebase(t, c, ret, e) : 0;
}

static int commit(struct txn *t, void *arg, struct err *e)
{
	struct call *c = arg;
	const struct snapshot_at *at = c->at;
	struct snapshot_record r;
	struct key old = KEY(at->ns, at->snapshotter, c->key);
	struct key new = KEY(at->ns, at->snapshotter, c->name);

	if (check_commit(t, c, &r, e) < 0)
		return -1;

	char *type = snapshot_lease_type(c->a, at->snapshotter);

	r.name = c->name;
	r.kind = SNAPSHOT_COMMITTED;
	r.labels = labels_copy(c->a, c->labels);
	r.usage = c->usage;
	if (*c->parent && !*r.parent) {
		r.parent = c->parent;
		if (snapshot_add_child(t, at, c->parent, c->a, 1, e) < 0)
			return -1;
	}
	if (c->remote) {
		r.number = c->number;
		r.remote = c->remote;
	}
	r.created = r.updated = entry_now();
	if (db_del(t, TABLE_SNAPSHOTS, &old, e) < 0 ||
	    lease_leave(t, at->ns, at->lease, type, c->key, e) < 0 ||
	    lease_join(t, at->ns, at->lease, type, c->name, e) < 0)
		return -1;
	return entry_put(t, TABLE_SNAPSHOTS, &new, snapshot_fields, &r, e);
}

/* Before the record says that the layer is there: a loss of power must not leave a half one under a
 * name that everybody trusts.  The whole file system at once, because fsync() of each file of a
 * Debian image took a hundred times as long (one journal commit a file). */
static int make_durable(int fd, struct err *e)
{
	return syncfs(fd) < 0 ? err_sys(e, errno, "sync snapshot") : 0;
}

/* The plugin's commit can't be undone, so that all is asked before; what fails after it is a loss
 * of the active snapshot, whose record goes with the next removal. */
static int commit_remote(struct call *c, struct err *e)
{
	const struct snapshot_remote_at at = remote_at(c->sn, c->at->ns);
	const struct labels some = remote_labels(c->a, c->labels);
	struct snapshot_record r;
	struct txn t;

	if (db_read(c->s->db, &t, e) < 0)
		return -1;
	int ok = check_commit(&t, c, &r, e);
	db_read_end(&t);
	if (ok < 0)
		return -1;
	c->number = atomic_fetch_add(&c->sn->next, 1);
	c->remote = remote_key(c->a, c->at->ns, c->number, c->name);

	pthread_rwlock_rdlock(&c->sn->dirs); /* no clean-up between the two */
	ok = c->sn->proxy->remote->commit(&at, c->remote, r.remote, c->parent_remote, &some, e);
	if (ok == 0)
		ok = db_write(c->s->db, commit, c, e);
	pthread_rwlock_unlock(&c->sn->dirs);
	return ok;
}

static int commit_dir(struct call *c, const struct layers *l, struct err *e)
{
	AUTO_FD int fd = snapshotter_open_fs(c->sn, l->number, e);

	if (fd < 0 || snapshot_measure(fd, &c->usage, e) < 0)
		return -1;
	if (c->sn->ops->seal && c->sn->ops->seal(c->sn, l, &c->usage, e) < 0)
		return -1;
	if (((c->sn->ops->seal || !c->is_synced) && make_durable(fd, e) < 0) ||
	    db_write(c->s->db, commit, c, e) < 0)
		return -1;
	if (c->sn->ops->sealed)
		c->sn->ops->sealed(c->sn, l);
	return 0;
}

static int commit_as(struct call *c, struct err *e)
{
	struct layers l = { 0 };

	if (!c->name || !*c->name || !c->key || !*c->key)
		return err_set(e, ERR_INVALID_ARGUMENT, "snapshot name and key must not be empty");
	if (labels_check(c->labels, e) < 0 ||
	    snapshot_layers(c->s, c->at, c->key, c->a, &c->sn, &l, e) < 0)
		return -1;
	return c->sn->proxy ? commit_remote(c, e) : commit_dir(c, &l, e);
}

int snapshot_commit(struct store *s, const struct snapshot_at *at, const char *name,
		    const char *key, const struct labels *labels, struct err *e)
{
	return snapshot_commit_on(s, at, name, key, "", labels, e);
}

static const struct labels no_labels;

static int commit_on(struct store *s, const struct snapshot_at *at, const char *name,
		     const char *key, const char *parent, const struct labels *labels,
		     bool is_synced, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct call c = { .s = s,
			  .at = at,
			  .a = a,
			  .key = key,
			  .name = name,
			  .parent = parent,
			  .parent_remote = "",
			  .labels = labels ?: &no_labels,
			  .is_synced = is_synced };

	return commit_as(&c, e);
}

int snapshot_commit_on(struct store *s, const struct snapshot_at *at, const char *name,
		       const char *key, const char *parent, const struct labels *labels,
		       struct err *e)
{
	return commit_on(s, at, name, key, parent, labels, false, e);
}

int snapshot_commit_synced(struct store *s, const struct snapshot_at *at, const char *name,
			   const char *key, const char *parent, const struct labels *labels,
			   struct err *e)
{
	return commit_on(s, at, name, key, parent, labels, true, e);
}
