/* Back ends of snapshots: how a numbered directory is filled, mounted and measured.
 *
 *   ROOT/io.containerd.snapshotter.v1.NAME/snapshots/N/fs      the tree, or this layer's part of it
 *                                                    N/work    overlayfs' own
 *
 * A back end knows numbers, not names, has no records, and never deletes: snapshot.c does. */
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
};

struct snapshotter_ops {
	const char *name;
	enum snapshot_whiteout whiteout;

	/* Whether it can work here; e says why not.  `fd` is its directory. */
	int (*probe)(int fd, struct err *e);

	/* Fills the fresh directory dirfd (0700).  May be slow; parents stay while it runs. */
	int (*make)(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e);

	/* For an active snapshot or a view. */
	void (*mounts)(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		       struct mounts *ret);

	/* Which parents' directories hold what the snapshot does not hold itself. */
	bool has_lowers;
};

struct snapshotter {
	const struct snapshotter_ops *ops;
	char *path; /* of snapshots/ */
	int fd; /* the same */
	atomic_ullong next; /* the number of the next directory */
	/* Shared while a directory is made and until its record stands, exclusively while
	 * directories without a record are removed. */
	pthread_rwlock_t dirs;
};

enum { SNAPSHOTTER_COUNT = 2 };
extern const struct snapshotter_ops overlay_ops, native_ops;

struct snapshotters {
	struct snapshotter v[SNAPSHOTTER_COUNT];
	struct snapshotter_state states[SNAPSHOTTER_COUNT];
};

/* Every back end is opened; one that can't work gets its reason in states[]. */
int snapshotters_open(struct store *s, struct err *e);
void snapshotters_close(struct snapshotters *all);

/* The working back end of that name, or ERR_INVALID_ARGUMENT. */
int snapshotter_find(struct store *s, const char *name, struct snapshotter **ret, struct err *e);

/* The last number given out follows every directory and record there is. */
void snapshotter_number_seen(struct snapshotter *sn, uint64_t number);

/* ".../snapshots/N/fs" */
char *snapshotter_fs_path(const struct snapshotter *sn, struct arena *a, uint64_t number);
int snapshotter_open_fs(const struct snapshotter *sn, uint64_t number, struct err *e);

/* One mount, options copied. */
void mounts_set(struct arena *a, struct mounts *ret, const char *type, const char *source,
		const char *const *options, size_t n);

int snapshotter_remove_dir(struct snapshotter *sn, const char *name, struct err *e);

/* The back end and the directories of a snapshot. */
int snapshot_layers(struct store *s, const struct snapshot_at *at, const char *key, struct arena *a,
		    struct snapshotter **ret_sn, struct layers *ret, struct err *e);

/* Removes directories without a record; counts them. */
int snapshotter_sweep(struct store *s, struct snapshotter *sn, size_t *ret_removed, struct err *e);
