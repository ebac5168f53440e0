/* Activations: named lists of mounts that the daemon has made (the mount manager).
 *
 * A list's first mounts are made one above the other in folders of the daemon's own and stay until
 * the activation goes: by its name, or as garbage.  It lives as long as a lease or an object that
 * its labels name (containerd.io/gc.bref.*, gc.root, gc.expire) does.  The rest, which any kernel
 * or runtime can mount, is handed back.  A mount's type may ask for more by prefixes, in order:
 *
 *   format/TYPE  "{{ mount 0 }}" in its texts: what is known of the mounts before it
 *   mkdir/TYPE   X-containerd.mkdir.path=DIR[:MODE[:UID:GID]]
 *   mkfs/TYPE    X-containerd.mkfs.size=, .fs=ext2|ext3|ext4|xfs, .uuid=: an image file is its
 * source loop         the source as a block device: its mount point is a link to the device
 *
 * mkdir and mkfs make things below the daemon's root and below the mounts only.
 *
 *   STATE/io.containerd.mount-manager.v1.bolt/t/N/I     the I-th mount of the activation number N
 *
 * Folders without a record are undone by the next collection or start; records of an earlier boot
 * go with the next start, since what they name went with it.  Any thread. */
#pragma once

#include "store/snapshot.h"

enum { ACTIVATION_MOUNTS = 255 };

struct activation {
	const char *name;
	struct mounts active, system; /* made; left to do */
	struct labels points; /* of each active one: where it is, and since when (RFC 3339) */
	struct labels labels;
	struct timespec created, updated;

	/* The store's own. */
	const char *boot;
	uint64_t number, is_made;
};

struct activation_new {
	const char *ns, *lease, *name;
	struct mounts mounts;
	struct labels labels;
	bool is_temporary; /* all of them are made, and what is left is a bind mount of the last */
};

/* ERR_UNIMPLEMENTED when nothing in it is for the daemon to do, ERR_ALREADY_EXISTS `mount "x"`. */
int activation_create(struct store *s, const struct activation_new *n, struct arena *a,
		      struct activation *ret, struct err *e);

/* The record first, then the mounts; what is busy is tried again by the next collection.
 * ERR_NOT_FOUND `mount "x"`. */
int activation_remove(struct store *s, const char *ns, const char *name, struct err *e);
int activation_get(struct store *s, const char *ns, struct arena *a, const char *name,
		   struct activation *ret, struct err *e);

/* Only labels change: mask labels, labels.KEY or none. */
int activation_update(struct store *s, const char *ns, struct arena *a, const struct activation *in,
		      const struct mask *mask, struct activation *ret, struct err *e);

typedef int activation_visit(const struct activation *r, void *arg, struct err *e);
int activation_list(struct store *s, const char *ns, struct arena *a, activation_visit *visit,
		    void *arg, struct err *e);
