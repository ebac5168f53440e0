/* Limits of a container that exists, and what its state file remembers of them. */
#pragma once

#include "base/mem.h"
#include "oci/spec.h"

/* What runc says where the kernel's own memory is to be limited: nothing comes of it. */
void update_warn_kernel_memory(const char *id, const struct oci_resources *r);

/* linux.resources as the state file keeps them, in the arena; NULL for NULL. */
const char *update_print(struct arena *a, const struct oci_resources *r);
