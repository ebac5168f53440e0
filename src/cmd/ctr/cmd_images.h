/* The files of `ctr images`. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/platform.h"

command_fn images_pull, images_import;
extern const struct flag pull_flags[], import_flags[];

/* --platform of args, or the host's. */
int platform_wanted(const struct args *args, struct platform *ret, struct err *e);
