/* One file of a tree, as diff.c compares it and writes it. */
#pragma once

#include "base/mem.h"
#include "image/tar.h"

#include <stdbool.h>
#include <sys/stat.h>

struct diff_entry {
	int fd; /* O_PATH; -1: there is none */
	struct stat st;
};

/* The entry of a folder (O_PATH), links not followed.  -ENOENT leaves fd -1 and is no error. */
int diff_entry_open(int dirfd, const char *name, struct diff_entry *ret);
void diff_entry_close(struct diff_entry *n);

/* Overlay's marks; of an upper folder's entry only. */
bool diff_entry_is_whiteout(const struct diff_entry *n);
bool diff_entry_is_opaque(const struct diff_entry *n);
bool diff_entry_is_redirected(const struct diff_entry *n);

/* The data of a regular file, for reading.  -errno */
int diff_entry_data(const struct diff_entry *n);

/* The target of a link, "" of anything else.  In the arena. */
int diff_entry_link(const struct diff_entry *n, struct arena *a, const char **ret);

/* The attributes that belong into a layer, sorted by name.  In the arena. */
int diff_entry_xattrs(const struct diff_entry *n, struct arena *a, struct tar_xattr **ret,
		      size_t *ret_n);

/* 1: the same to everybody who looks at both; 0; -errno.  Folders: without what is in them. */
int diff_entry_same(const struct diff_entry *a, const struct diff_entry *b);
