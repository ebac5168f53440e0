/* Tar, read strictly: USTAR with pax and GNU long names, pulled from a callback, no system calls.
 *
 * Every field is range-checked and every size bounded before memory is taken; sparse files and
 * formats nobody ships as a layer are refused by name.  Source: POSIX.1-2001 pax, and the GNU tar
 * manual's format chapter. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
	TAR_NAME_MAX = 4096, /* PATH_MAX, as a kernel would refuse more */
	TAR_PAX_MAX = 1024 * 1024, /* of one extended header */
	TAR_XATTRS_MAX = 256,
};

enum tar_type {
	TAR_FILE,
	TAR_HARDLINK,
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK,
	TAR_DIR,
	TAR_FIFO,
};

struct tar_xattr {
	const char *name;
	const void *value;
	size_t len;
};

/* Borrowed from the reader until the next tar_next(). */
struct tar_entry {
	enum tar_type type;
	const char *name; /* as written: may be absolute or hold "..": the caller decides */
	const char *link; /* of a hard or symbolic link */
	uint32_t mode; /* 07777 */
	uint32_t uid, gid, major, minor;
	uint64_t size; /* of the data that follows: files only */
	struct timespec mtime;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
};

typedef ssize_t tar_read_fn(void *arg, void *buf, size_t n, struct err *e); /* 0: end */

struct tar;
struct tar *tar_new(tar_read_fn *read, void *arg);
void tar_free(struct tar *t);

/* The next entry: 1; 0 at the end; -1 with ERR_INVALID_ARGUMENT and the offset for what is no tar.
 * Unread data of the last entry is skipped. */
int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e);

/* Data of the current entry; 0 at its end. */
ssize_t tar_data(struct tar *t, void *buf, size_t n, struct err *e);
