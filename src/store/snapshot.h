/* Snapshots: file trees in layers.  A writable one (active) is prepared on a committed parent and
 * becomes committed under a name; a view is read-only.  Names are per namespace and snapshotter;
 * records and parents are here, directories are a back end's.
 *
 * Errors in containerd's words: `snapshot K does not exist` ERR_NOT_FOUND, `snapshot K`
 * ERR_ALREADY_EXISTS, `target snapshot "X"` ERR_ALREADY_EXISTS (label containerd.io/snapshot.ref
 * in Prepare names a snapshot that is there: the lease gets it), `snapshotter not loaded: X`
 * ERR_INVALID_ARGUMENT. */
#pragma once

#include "store/label.h"
#include "store/mount.h"
#include "store/store.h"

#include <time.h>

/* The numbers are the API's. */
enum snapshot_kind {
	SNAPSHOT_UNKNOWN = 0,
	SNAPSHOT_VIEW = 1,
	SNAPSHOT_ACTIVE = 2,
	SNAPSHOT_COMMITTED = 3,
};
const char *snapshot_kind_name(enum snapshot_kind k); /* "view", "active", "committed" */

struct snapshot_info {
	enum snapshot_kind kind;
	const char *name, *parent; /* parent "" when there is none */
	struct labels labels;
	struct timespec created, updated;
};

struct snapshot_usage {
	int64_t size, inodes;
};

/* Which of a call's snapshotters: name is as clients give it ("overlayfs", "native"). */
struct snapshot_at {
	const char *ns, *lease, *snapshotter;
};

int snapshot_prepare(struct store *s, const struct snapshot_at *at, struct arena *a,
		     const char *key, const char *parent, const struct labels *labels,
		     struct mounts *ret, struct err *e);
int snapshot_view(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		  const char *parent, const struct labels *labels, struct mounts *ret,
		  struct err *e);
int snapshot_mounts(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		    struct mounts *ret, struct err *e);

/* The active `key` becomes the committed `name`; labels replace key's.  Its files are on the disk
 * before the record says so; when they cannot be, it stays active. */
int snapshot_commit(struct store *s, const struct snapshot_at *at, const char *name,
		    const char *key, const struct labels *labels, struct err *e);

/* One that was prepared without a parent gets this one (layers unpacked side by side), where a
 * snapshot holds its layer only; "" or its own changes nothing, another is ERR_INVALID_ARGUMENT. */
int snapshot_commit_on(struct store *s, const struct snapshot_at *at, const char *name,
		       const char *key, const char *parent, const struct labels *labels,
		       struct err *e);

/* The same by a caller that has synced its files itself: nobody waits for the disk twice. */
int snapshot_commit_synced(struct store *s, const struct snapshot_at *at, const char *name,
			   const char *key, const char *parent, const struct labels *labels,
			   struct err *e);

/* Only the record goes: the directory with the next gc_run() or snapshot_cleanup().
 * ERR_FAILED_PRECONDITION `cannot remove snapshot with child`. */
int snapshot_remove(struct store *s, const struct snapshot_at *at, const char *key, struct err *e);

int snapshot_stat(struct store *s, const struct snapshot_at *at, struct arena *a, const char *key,
		  struct snapshot_info *ret, struct err *e);

/* Only labels change: mask labels, labels.KEY or none. */
int snapshot_update(struct store *s, const struct snapshot_at *at, struct arena *a,
		    const struct snapshot_info *in, const struct mask *mask,
		    struct snapshot_info *ret, struct err *e);
int snapshot_usage(struct store *s, const struct snapshot_at *at, const char *key,
		   struct snapshot_usage *ret, struct err *e);

typedef int snapshot_visit(const struct snapshot_info *i, void *arg, struct err *e);
int snapshot_walk(struct store *s, const struct snapshot_at *at, struct arena *a,
		  snapshot_visit *visit, void *arg, struct err *e);

/* Removes directories that no record of any namespace names. */
int snapshot_cleanup(struct store *s, const char *snapshotter, struct err *e);

/* For unpacking into an active snapshot without mounting it: its own directory and those below,
 * nearest first.  How a removed name is written there is the back end's. */
enum snapshot_whiteout {
	WHITEOUT_OVERLAY, /* character device 0:0, trusted.overlay.opaque=y */
	WHITEOUT_REMOVE, /* upper holds the whole tree: remove the name */
};
struct snapshot_dirs {
	int upper;
	int *lowers;
	size_t nlowers;
	enum snapshot_whiteout whiteout;
};
int snapshot_open_dirs(struct store *s, const struct snapshot_at *at, const char *key,
		       struct snapshot_dirs *ret, struct err *e);
void snapshot_dirs_done(struct snapshot_dirs *d); /* closes; safe on a zeroed or failed one */

/* The same from mounts that a client gave back to us (Diff.Apply, Diff.Diff): bind or overlay of
 * directories of one of our snapshotters; ERR_INVALID_ARGUMENT for any other path. */
int snapshot_open_mounts(struct store *s, const struct mounts *m, struct snapshot_dirs *ret,
			 struct err *e);

/* The back ends in the order of preference; error is "" or why this one can't work here. */
struct snapshotter_state {
	const char *name, *error, *root; /* borrowed from s */
	const char *capabilities[4]; /* ended by NULL; in the words clients look for */
};
size_t snapshotter_list(const struct store *s, const struct snapshotter_state **ret);

/* The first that works: what clients get who name none. */
const char *snapshotter_default(const struct store *s);
