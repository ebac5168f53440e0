/* What changed from one tree to another, as a layer (tar, uncompressed).
 *
 * Both trees belong to containers and may change meanwhile: nothing is opened by a path of more
 * than one component, no link is followed, and a file that shrinks is filled with zeros.  The same
 * trees give the same bytes on every snapshotter: entries are sorted, whiteouts are told one by
 * one, and what an overlay's upper folder holds unchanged is left out.
 *
 * Source: OCI image spec, layer.md ("Creating", "Representing Changes"); overlayfs.rst. */
#pragma once

#include "image/tar_write.h"

#include <stdbool.h>

struct diff_trees {
	int left; /* a folder; -1: nothing */
	int right; /* a folder, of which a part is_upper: an overlay's upper folder over `left` */
	bool is_upper;
	bool has_epoch;
	int64_t epoch; /* SOURCE_DATE_EPOCH: no time is later */
};

/* ERR_FAILED_PRECONDITION: an upper folder that can't be read alone (it was written with
 * redirect_dir or metacopy); the merged tree can. */
int diff_write(const struct diff_trees *d, tar_write_fn *write, void *arg, struct err *e);
