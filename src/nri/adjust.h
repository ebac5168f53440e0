/* What plugins want changed, done to a config.json.
 *
 * Each plugin sees the container as those before it have left it.  Two plugins may not set the same
 * thing, unless the later one removes it first: a name that begins with "-" is a removal. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"

struct blockio;

/* Who set what, for one container.  adjust_done() frees it. */
struct adjust {
	json_object *owners; /* "env PATH" → the plugin's name */
	const struct blockio *blockio; /* what classes of block devices stand for, or NULL */
};
#define ADJUST_INIT(blockio) ((struct adjust){ json_object_new_object(), blockio })

static inline void adjust_done(struct adjust *a)
{
	json_object_put(a->owners);
	a->owners = NULL;
}
#define AUTO_ADJUST CLEANUP(adjust_done)

/* want is a ContainerAdjustment as JSON (map.h).  spec may be half changed after a failure.
 * ERR_ALREADY_EXISTS: two plugins disagree; ERR_UNIMPLEMENTED: something that is not done here. */
int adjust_spec(struct adjust *a, const char *plugin, json_object *want, json_object *spec,
		struct err *e);

/* want is LinuxResources as JSON; resources is an object of the runtime spec's form.  A class of
 * block devices becomes what it stands for; one of caches is the container's for its life. */
int adjust_resources(struct adjust *a, const char *plugin, json_object *want,
		     json_object *resources, struct err *e);
