/* The folder of the last entry, kept open for the next: a layer's entries mostly come folder by
 * folder, and finding one again is a third of what a small file costs. */
#pragma once

#include "image/unpack.h"

struct parent {
	char *folder; /* its path as entries say it, with the last "/"; NULL: none */
	bool has_links; /* its path does, so that an entry in it could change where that leads */
	int fd; /* O_PATH */
	bool is_plain; /* what is made there is root's and has the mode that it is made with */
};

/* The parent of path, made where it is missing: an fd that stays ours until the next call, or
 * -errno.  *ret_leaf points into path. */
int parent_find(struct parent *p, const struct unpack_dirs *d, const char *path,
		const char **ret_leaf);

/* After a folder, or what stood in an entry's way: it may be another's now, or have another mode.
 */
void parent_forget(struct parent *p);
