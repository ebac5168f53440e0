/* The host's own devices, for containers that are given them: walks of its /dev. */
#pragma once

#include "oci/generate.h"

struct device_list {
	struct gen_device *v; /* the caller frees it */
	size_t n, cap;
	struct arena *arena;
};

/* A device, or every device below a folder. */
int host_devices_add(struct device_list *l, const char *path, struct err *e);
/* All of /dev, as privileged containers have them. */
int host_devices_all(struct device_list *l, struct err *e);
