/* Snapshotters in other programs (proxy_plugins).  Names and parents are records here as for any
 * back end; the trees are theirs, under keys that we make: "NAMESPACE/NUMBER/NAME", as the
 * original's metadata does, so that plugins find what they expect.
 *
 * A plugin may hold a layer that was never unpacked: asked to prepare with the label
 * containerd.io/snapshot.ref it commits the layer itself and answers ERR_ALREADY_EXISTS. */
#pragma once

#include "store/snapshot.h"

#include <stdint.h>

struct snapshot_remote_at {
	const char *address; /* of its socket */
	const char *snapshotter; /* as it calls itself */
	const char *ns;
};

struct snapshot_infos {
	struct snapshot_info *v;
	size_t n;
};

/* How to call one: the daemon's table speaks gRPC.  Any thread, blocking.  Results live in the
 * arena; errors are the plugin's own. */
struct snapshot_remote {
	int (*make)(const struct snapshot_remote_at *at, enum snapshot_kind kind, struct arena *a,
		    const char *key, const char *parent, const struct labels *labels,
		    struct mounts *ret, struct err *e);
	int (*mounts)(const struct snapshot_remote_at *at, struct arena *a, const char *key,
		      struct mounts *ret, struct err *e);
	int (*commit)(const struct snapshot_remote_at *at, const char *name, const char *key,
		      const char *parent, const struct labels *labels, struct err *e);
	int (*remove)(const struct snapshot_remote_at *at, const char *key, struct err *e);
	int (*usage)(const struct snapshot_remote_at *at, const char *key,
		     struct snapshot_usage *ret, struct err *e);
	int (*list)(const struct snapshot_remote_at *at, struct arena *a,
		    struct snapshot_infos *ret, struct err *e);
	int (*cleanup)(const struct snapshot_remote_at *at, struct err *e);
};

/* --- for the files of this folder --- */

struct snapshotter;

struct snapshot_remote_at remote_at(const struct snapshotter *sn, const char *ns);
char *remote_key(struct arena *a, const char *ns, uint64_t number, const char *name);

/* Of a new one: *ret_key.  1: the plugin has committed `target` itself, under *ret_key. */
int remote_make(const struct snapshotter *sn, const char *ns, uint64_t number,
		enum snapshot_kind kind, struct arena *a, const char *name, const char *parent,
		const struct labels *labels, const char **ret_key, struct mounts *ret,
		struct err *e);

/* The labels that a plugin may see. */
struct labels remote_labels(struct arena *a, const struct labels *all);

/* Removes what no record names, of the names that we make; counts them. */
int remote_sweep(struct store *s, struct snapshotter *sn, size_t *ret_removed, struct err *e);
