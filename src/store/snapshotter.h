/* Back ends of snapshots: how a numbered directory is filled, mounted and measured.
 *
 *   ROOT/io.containerd.snapshotter.v1.NAME/snapshots/N/fs      the tree, or this layer's part of it
 *                                                    N/work    overlayfs' own
 *
 * A back end knows numbers, not names, has no records, and never deletes on its own: snapshot.c
 * does.  A new one is a file with its table, and a line in snapshotter.c. */
#pragma once

#include "store/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

struct snapshotter;

/* One snapshot as its back end sees it. */
struct layers {
	uint64_t number;
	enum snapshot_kind kind;
	const uint64_t *parents; /* nearest first */
	size_t nparents;
	const char *ns, *remote; /* of a proxy's: its key there */
	const char *uidmap, *gidmap; /* "0:HOST:COUNT[,…]" of the labels: both, or NULL */
};

struct snapshotter_ops {
	const char *name;
	enum snapshot_whiteout whiteout;

	/* Whether it can work here; e says why not.  sn->fd is its directory. */
	int (*probe)(struct snapshotter *sn, struct err *e);

	/* Fills the fresh directory dirfd (0700).  May be slow; parents stay while it runs.  NULL
	 * for a proxy: its trees are made elsewhere. */
	int (*make)(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e);

	/* For an active snapshot or a view. */
	int (*mounts)(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		      struct mounts *ret, struct err *e);

	/* Which parents' directories hold what the snapshot does not hold itself. */
	bool has_lowers;

	/* --- What follows may be NULL. --- */

	/* The tree is not the folder N/fs: a descriptor of its top. */
	int (*open)(const struct snapshotter *sn, uint64_t number, struct err *e);

	/* The layer gets its last form, on the disk, before its record says committed; a record
	 * that can't be written leaves the snapshot active: both forms must be good then. *usage is
	 * the tree's and may be corrected. */
	int (*seal)(const struct snapshotter *sn, const struct layers *l,
		    struct snapshot_usage *usage, struct err *e);

	/* After the record.  Nothing may depend on it: a crash may come before. */
	void (*sealed)(const struct snapshotter *sn, const struct layers *l);

	/* N/fs of a committed layer is about to be opened or handed out. */
	int (*show)(const struct snapshotter *sn, uint64_t number, struct err *e);

	/* The directory `name` is about to be removed: what rm -r can't take away. */
	int (*discard)(const struct snapshotter *sn, const char *name, struct err *e);

	/* Whose tree it is that a client mounts so: 1 and the number, or 0. */
	int (*number_of)(const struct snapshotter *sn, const struct mount *m, uint64_t *ret);

	/* The store closes in good order; running containers keep what they have. */
	void (*close)(const struct snapshotter *sn);
};

struct snapshotter {
	const struct snapshotter_ops *ops;
	const char *name; /* as clients give it */
	const struct snapshot_options *opt; /* borrowed */
	const struct snapshot_proxy *proxy; /* or NULL: trees, numbers and fd are ours */
	char *root; /* the folder above snapshots/ */
	char *path; /* of snapshots/ */
	int fd; /* the same */
	atomic_ullong next; /* the number of the next directory */
	/* Shared while a directory is made and until its record stands, exclusively while
	 * directories without a record are removed. */
	pthread_rwlock_t dirs;
};

extern const struct snapshotter_ops overlay_ops, native_ops, btrfs_ops, erofs_ops, blockfile_ops;
extern const struct snapshotter_ops proxy_ops;

struct snapshotters {
	struct snapshotter *v;
	struct snapshotter_state *states; /* beside v */
	size_t n;
};

/* Every back end is opened; one that can't work gets its reason in states[]. */
int snapshotters_open(struct store *s, const struct store_options *opt, struct err *e);
void snapshotters_close(struct snapshotters *all);

/* The working back end of that name, or ERR_INVALID_ARGUMENT. */
int snapshotter_find(struct store *s, const char *name, struct snapshotter **ret, struct err *e);

/* The last number given out follows every directory and record there is. */
void snapshotter_number_seen(struct snapshotter *sn, uint64_t number);

/* ".../snapshots/N/fs" */
char *snapshotter_fs_path(const struct snapshotter *sn, struct arena *a, uint64_t number);
int snapshotter_open_fs(const struct snapshotter *sn, uint64_t number, struct err *e);

/* The same of a committed layer: shown first. */
int snapshotter_open_layer(const struct snapshotter *sn, uint64_t number, struct err *e);

/* One mount, options copied. */
void mounts_set(struct arena *a, struct mounts *ret, const char *type, const char *source,
		const char *const *options, size_t n);

int snapshotter_remove_dir(struct snapshotter *sn, const char *name, struct err *e);

/* The back end and the directories of a snapshot. */
int snapshot_layers(struct store *s, const struct snapshot_at *at, const char *key, struct arena *a,
		    struct snapshotter **ret_sn, struct layers *ret, struct err *e);

/* Removes directories without a record; counts them. */
int snapshotter_sweep(struct store *s, struct snapshotter *sn, size_t *ret_removed, struct err *e);
