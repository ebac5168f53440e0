/* A set of inodes, for files with several names: seen already, and (for copies) where. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/stat.h>

struct inode {
	dev_t dev;
	ino_t ino; /* 0: free slot */
	char *path; /* the user's; freed by inodes_done() */
};

struct inodes { /* zero-initialised is empty */
	struct inode *v;
	size_t n, cap;
};

/* True when it is new; *ret is its entry, valid until the next call. */
bool inodes_add(struct inodes *s, const struct stat *st, struct inode **ret);
void inodes_done(struct inodes *s);
