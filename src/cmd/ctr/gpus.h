/* --gpus: the graphics vendor's program makes its devices and libraries appear in the container. */
#pragma once

#include "cmd/ctr/cli.h"
#include "oci/generate.h"

/* A createRuntime hook: `containerd oci-hook` starts nvidia-container-cli with the container's
 * process and rootfs.  Either program missing is an error that names it. */
int gpus_add_hook(const struct args *args, struct generate *g, struct err *e);
