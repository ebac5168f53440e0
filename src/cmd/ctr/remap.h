/* A container in a user namespace: its mappings, and an image's files given to the ids behind
 * them. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/spec.h"

/* --uidmap or --gidmap: "container-id:host-id:length" each.  Lives in the arena. */
int idmap_from_args(const struct args *args, const char *flag, struct oci_idmappings *ret,
		    struct err *e);

/* "0:1000:65536,…": what snapshotters take as a label. */
const char *idmap_text(struct arena *a, const struct oci_idmappings *m);

/* A snapshot with parent's files, each given to the id that its owner is mapped to.  Made once for
 * a parent and its mappings. */
int remap_snapshot(struct ctr *ctr, const char *snapshotter, const char *parent,
		   const struct oci_idmappings *uids, const struct oci_idmappings *gids,
		   const char **ret, struct err *e);

/* The same for a folder as it is: owners, and with them set-id bits and capabilities. */
int remap_tree(const char *dir, const struct oci_idmappings *uids,
	       const struct oci_idmappings *gids, struct err *e);

/* ERR_UNIMPLEMENTED unless the snapshotter says that it maps ids by labels. */
int remap_check_labels(struct ctr *ctr, const char *snapshotter, struct err *e);
