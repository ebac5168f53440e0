/* The steps of CreateContainer. */
#pragma once

#include "cri/image.h"
#include "cri/private.h"
#include "oci/generate.h"

/* box_user.c: by the snapshot that has been prepared for it */
int box_find_user(const struct box *box, const struct image_facts *image, struct arena *a,
		  struct oci_user *ret, struct err *e);

/* Snapshots are there before the record that keeps them, which needs the users in one: until then
 * they keep themselves by this label, for longer than that can take. */
void box_add_expiry(struct arena *a, struct labels *l);

/* box_mounts.c: all of its mounts, the daemon's and the client's, into g */
int box_mounts(const struct box *box, struct arena *a, struct generate *g, struct err *e);

/* box_spec.c; with box->resources */
void box_resources(const struct box *box, const CRI(LinuxContainerResources) * r, struct arena *a,
		   struct generate *g);
