/* The files of `ctr images`. */
#pragma once

#include "cmd/ctr/ctr.h"
#include "oci/platform.h"

command_fn images_pull, images_import, images_export, images_push;
extern const struct flag pull_flags[], import_flags[], export_flags[], push_flags[];

/* --platform of args, or the host's. */
int platform_wanted(const struct args *args, struct platform *ret, struct err *e);

/* All --platform words; none: *ret_n is 0. */
int platforms_wanted(const struct args *args, Containerd__Types__Platform ***ret, size_t *ret_n,
		     struct err *e);
