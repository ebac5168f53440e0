/* What the operator chose for the back ends of snapshots; whoever opens a store keeps it alive. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The keys of [plugins."io.containerd.snapshotter.v1.NAME"]; zeroed is the default. */
struct snapshot_options {
	const char *name;
	bool is_disabled;
	const char *root_path; /* NULL or "": ROOT/io.containerd.snapshotter.v1.NAME */
	const char *const *mount_options; /* of overlays, beside what must be there */
	size_t n_mount_options;
	bool upperdir_label; /* label containerd.io/snapshot/overlay.upperdir on what is told */
	bool sync_remove; /* the directory is gone when Remove returns */
	bool slow_chown; /* ids are mapped by a copy where the kernel can't map a mount */
	/* of blockfile: its empty file system, that one's type (NULL or "": ext4), and whether it
	 * is taken anew at each start; mount_options are those of its mounts (none: "loop") */
	const char *scratch_file, *fs_type;
	bool recreate_scratch;
};

struct content_proxy;
struct snapshot_remote;

/* [proxy_plugins.NAME] of type "snapshot": a snapshotter in another program. */
struct snapshot_proxy {
	const char *name, *address; /* of its socket, without "unix://" */
	const char *capabilities[4]; /* ended by NULL; for clients */
	const struct snapshot_remote *remote; /* how to call it */
};

struct store_options {
	const struct snapshot_options *snapshotters;
	size_t n_snapshotters;
	const struct snapshot_proxy *proxies;
	size_t n_proxies;
	const struct content_proxy *content; /* where blobs are kept instead; or NULL */
	bool isolate_content; /* a namespace has a blob only if its bytes came there */
	const char *mounts_path; /* of the activations' mounts; NULL: below the root */
};
