/* Tar, written: USTAR headers, and pax records for what does not fit into them (long or non-ASCII
 * names, large numbers, extended attributes).  The same entries give the same bytes.
 *
 * Source: POSIX.1-2001 pax; SCHILY.xattr as star, Go's archive/tar and the OCI image spec use it.
 */
#pragma once

#include "image/tar.h"

typedef int tar_write_fn(void *arg, const void *p, size_t n, struct err *e);

struct tar_writer {
	tar_write_fn *write;
	void *arg;
	uint64_t left; /* of the data of the entry at hand */
	unsigned padding;
};

/* The header; for a file, exactly n->size bytes of tar_write_data() must follow.  Times are written
 * in whole seconds, as containerd's layers have them. */
int tar_write_entry(struct tar_writer *t, const struct tar_entry *n, struct err *e);
int tar_write_data(struct tar_writer *t, const void *p, size_t n, struct err *e);
/* Two empty blocks. */
int tar_write_end(struct tar_writer *t, struct err *e);
