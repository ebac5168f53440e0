/* Walks over directory trees by fd, never following a symlink, without recursion: a tree that a
 * container made may be deep, and a thread's stack is small. */
#pragma once

#include "base/macros.h"

#include <sys/stat.h>

enum tree_when {
	TREE_ENTER, /* a directory, before its entries */
	TREE_LEAVE, /* the same, after them; dirfd and name as at ENTER */
	TREE_LEAF,
};

struct tree_entry {
	int dirfd; /* of the folder it is in */
	int fd; /* ENTER, LEAVE: the directory itself */
	const char *name;
	struct stat st;
	enum tree_when when;
};

enum { TREE_DEPTH = 1024 };

/* Everything below rootfd, which is not visited itself.  visit returns 0 or what ends the walk:
 * -errno, or another result.  -ELOOP when it is deeper than TREE_DEPTH.  What vanishes meanwhile is
 * passed over. */
typedef int tree_visit(const struct tree_entry *t, void *arg);
int tree_walk(int rootfd, tree_visit *visit, void *arg);

/* Blocks (in bytes) and inodes of the tree, hard links once; rootfd's own included.  Of a tree with
 * more than 16 Mi entries the first so many; links to more than 1 Mi files count as files. */
int tree_usage(int rootfd, int64_t *ret_bytes, int64_t *ret_inodes);

/* A copy of the tree below `from` into the empty directory `to`: owners, modes, times, extended
 * attributes, hard links, devices; data shared where the file system can (reflink).  to itself gets
 * from's attributes. */
int tree_copy(int from, int to);
