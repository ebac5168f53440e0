#include "store/snapshot_record.h"

#include "store/entry.h"

const struct rec_field snapshot_fields[] = {
	REC(1, TEXT, struct snapshot_record, name),
	REC(2, TEXT, struct snapshot_record, snapshotter),
	REC(3, TEXT, struct snapshot_record, parent),
	REC(4, U64, struct snapshot_record, number),
	REC(5, U64, struct snapshot_record, kind),
	REC(6, U64, struct snapshot_record, children),
	REC(7, LABELS, struct snapshot_record, labels),
	REC(8, U64, struct snapshot_record, usage.size),
	REC(9, U64, struct snapshot_record, usage.inodes),
	REC(10, TIME, struct snapshot_record, created),
	REC(11, TIME, struct snapshot_record, updated),
	REC(12, TEXT, struct snapshot_record, remote),
	{ 0 },
};

const char *snapshot_kind_name(enum snapshot_kind k)
{
	static const char *const names[] = { [SNAPSHOT_UNKNOWN] = "unknown",
					     [SNAPSHOT_VIEW] = "view",
					     [SNAPSHOT_ACTIVE] = "active",
					     [SNAPSHOT_COMMITTED] = "committed" };

	return (size_t)k < ARRAY_LEN(names) ? names[k] : "unknown";
}

int snapshot_read(struct txn *t, const char *ns, const char *snapshotter, const char *name,
		  struct arena *a, struct snapshot_record *ret, struct err *e)
{
	struct key k = KEY(ns, snapshotter, name);

	return entry_get(t, TABLE_SNAPSHOTS, &k, snapshot_fields, a, ret, e);
}

int snapshot_forget(struct txn *t, const char *ns, const char *snapshotter, const char *name,
		    struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct snapshot_record r, parent;
	struct key k = KEY(ns, snapshotter, name);
	int has = snapshot_read(t, ns, snapshotter, name, a, &r, e);

	if (has <= 0)
		return has;
	if (r.children > 0)
		return err_set(e, ERR_FAILED_PRECONDITION, "cannot remove snapshot with child");
	if (*r.parent) {
		struct key pk = KEY(ns, snapshotter, r.parent);

		has = snapshot_read(t, ns, snapshotter, r.parent, a, &parent, e);
		if (has < 0)
			return -1;
		if (has && parent.children > 0) {
			parent.children--;
			if (entry_put(t, TABLE_SNAPSHOTS, &pk, snapshot_fields, &parent, e) < 0)
				return -1;
		}
	}
	return db_del(t, TABLE_SNAPSHOTS, &k, e);
}
