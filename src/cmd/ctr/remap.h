/* An image's files, given to the ids that a user namespace maps its own to: for snapshotters that
 * cannot show them so. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/spec.h"

/* A snapshot with parent's files, each given to the id that its owner is mapped to.  Made once for
 * a parent and its mappings. */
int remap_snapshot(struct ctr *ctr, const char *snapshotter, const char *parent,
		   const struct oci_idmappings *uids, const struct oci_idmappings *gids,
		   const char **ret, struct err *e);

/* The same for a folder as it is: owners, and with them set-id bits and capabilities. */
int remap_tree(const char *dir, const struct oci_idmappings *uids,
	       const struct oci_idmappings *gids, struct err *e);

/* Does the snapshotter show a layer with other ids itself, when labels ask for it? */
int remap_is_built_in(struct ctr *ctr, const char *snapshotter, bool *ret, struct err *e);
