/* User-namespace id maps: checked, and written as the kernel's text. */
#pragma once

#include "oci/spec.h"

enum { IDMAP_MAX_RANGES = 340 }; /* the kernel's limit since 4.15 */

/* Refuses what the kernel would refuse with a bare EINVAL, saying which range is at fault:
 * empty, wrapping or overlapping ranges, or too many. */
int idmap_text(struct arena *a, const struct oci_idmappings *m, const char **ret, struct err *e);
