/* Whose the container's cgroup is: a container that sees its cgroup file system writable in a
 * cgroup namespace of its own may divide it, which takes the ownership of its folder. */
#pragma once

#include "oci/spec.h"

#include <sys/types.h>

/* The process's uid as the host sees it; false where nothing is handed over. */
bool delegate_owner(const struct oci_spec *s, uid_t *ret);
