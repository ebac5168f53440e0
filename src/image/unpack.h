/* One layer into the folder of a snapshot, safely: the one place that writes what an image says.
 *
 * Everything is done by descriptors below `upper`; the bytes of the layer choose names inside it
 * and nothing else.  Every entry's parent is resolved anew (openat2 in the root, symlinks inside
 * followed as the container would), the last component is never followed: an entry that a former
 * one replaced by a link cannot mislead the next.  Meant for the transfer worker, a process that
 * may be killed at any time and has no umask: modes are the layer's, exactly.  Several layers may
 * be unpacked at once, each by a thread. */
#pragma once

#include "base/err.h"
#include "base/sha256.h"
#include "image/inflate.h"

#include <stdbool.h>

struct tar_entry;

/* Where a layer goes.  All fds are borrowed folders. */
struct unpack_dirs {
	int upper;
	/* The layers below, top-most first: a parent folder that the layer does not bring takes
	 * mode, owner and time from there; a hard link's target is copied up from there. */
	const int *lowers;
	size_t n_lowers;
	/* NULL: they are whole.  Else called before the first look at them: blocks until they are,
	 * and says whether they ever will be. */
	bool (*lowers_ready)(void *arg);
	void *lowers_arg;
	/* Whiteouts become overlayfs' (device 0:0, trusted.overlay.opaque); false: upper is the
	 * whole tree and they remove. */
	bool overlay;
	/* NULL: the whole layer.  Else asked about each entry, with its clean name: 1 takes it, as
	 * it is by then, 0 leaves it out, -1 ends the unpacking. Whiteouts are left out then. */
	int (*wants)(void *arg, const char *name, struct tar_entry *entry, struct err *e);
	void *arg;
};

struct unpack_result {
	char diff_id[DIGEST_SHA256 + 1]; /* of the uncompressed bytes */
	uint64_t size; /* of them */
};

/* media_type says the compression (OCI and Docker layer types; "" looks at the first bytes).
 * blob_fd is read to its end from where it stands; a pipe works too.  On failure upper holds a
 * part of the layer and is to be thrown away.  Errors: ERR_INVALID_ARGUMENT for a layer that is
 * none or breaks a bound, ERR_UNIMPLEMENTED for an unknown type, system errors with the name. */
int unpack_layer(int blob_fd, const char *media_type, const struct unpack_dirs *dirs,
		 struct unpack_result *ret, struct err *e);

/* The same of bytes that are still coming, size of them. */
struct unpack_source {
	inflate_source_fn *read;
	void *arg;
	uint64_t size;
};
int unpack_layer_from(const struct unpack_source *from, const char *media_type,
		      const struct unpack_dirs *dirs, struct unpack_result *ret, struct err *e);
