/* Where an entry of a layer goes: its parent folder, found in the union of the layer that is being
 * unpacked and the ones below it, and made in the former where it is missing there. */
#pragma once

#include "image/unpack.h"

#include <stdio.h>
#include <sys/stat.h>

/* An O_PATH fd takes no f*xattr calls; its name in /proc does, and follows no further link. */
struct fd_name {
	char s[32];
};

static inline struct fd_name walk_fd_name(int fd)
{
	struct fd_name n;

	snprintf(n.s, sizeof n.s, "/proc/self/fd/%d", fd);
	return n;
}

/* The parent of path, an O_PATH fd in upper; *ret_leaf points into path (its last component).
 * make: folders that only lower layers have, or nobody, are made in upper, the former with their
 * mode, owner, times and attributes.  Paths are checked already: no "..", no empty leaf.
 * Returns -errno. */
int walk_parent(const struct unpack_dirs *d, const char *path, bool make, const char **ret_leaf);

/* A folder that upper has, with no link on the way: an O_PATH fd, or -errno. */
int walk_real(const struct unpack_dirs *d, const char *folder);

/* What lower layers have at path (links in its parent followed, its last component not): an
 * O_PATH fd, or -ENOENT. */
int walk_lower(const struct unpack_dirs *d, const char *path);

/* May an image set this attribute?  Not the file system's own (trusted.*, overlay's), and of
 * security.* only capabilities. */
bool walk_xattr_allowed(const char *name);

/* Mode, owner, times and attributes of what `from` (O_PATH) is, onto the open file `to`. */
int walk_copy_attributes(int from, int to);

bool walk_is_whiteout(const struct stat *st);

/* Hides what lower layers have in a folder of upper. */
int walk_set_opaque(int dirfd);
