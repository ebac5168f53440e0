/* An image as a container needs it: what it says, and the snapshot of its layers. */
#pragma once

#include "engine/engine.h"
#include "oci/image.h"

struct image_facts {
	const char *id; /* the config's digest, by which the interface calls an image */
	const char *name; /* of the record that was found */
	const char *ref; /* NAME@DIGEST of the record's target, or id */
	const char *chain; /* the snapshot of its layers; "" without any */
	struct image_config config;
};

/* name: as kubelet has it: an id, a whole reference, or a short one.  Looks in the call's
 * namespace; everything in its arena.  ERR_NOT_FOUND. */
int image_find(const struct call *call, const char *name, struct image_facts *ret, struct err *e);
