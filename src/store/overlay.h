/* Overlay mounts of numbered layers, for the back ends whose snapshots hold a layer each. */
#pragma once

#include "store/snapshotter.h"

/* fs/ and, for an active snapshot, work/.  fs/ is what a container sees as "/": owner and mode are
 * the parent's, or those that the id maps give to the container's root. */
int overlay_make(const struct snapshotter *sn, int dirfd, const struct layers *l, struct err *e);

/* Whether overlayfs works with an upper directory below fd. */
int overlay_probe(int fd, struct err *e);

/* Layers with other ids: Linux 5.19. */
bool overlay_maps_ids(void);

/* A bind of the only layer, or an overlay. */
int overlay_mounts(const struct snapshotter *sn, struct arena *a, const struct layers *l,
		   struct mounts *ret, struct err *e);
