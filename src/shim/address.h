/* Where a shim listens: a name that every start of the same group works out alike. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#define SHIM_SOCKET_DIR "/run/containerd/s"

/* The group of a container: annotation io.containerd.runc.v2.group of BUNDLE/config.json, else
 * io.kubernetes.cri.sandbox-id, else its id.  In the arena. */
int shim_group_read(struct arena *a, int bundlefd, const char *id, const char **ret, struct err *e);

/* DIR/hex(sha256(GRPC/NS/GROUP)); dir "" is the default one.  In the arena. */
const char *shim_socket_path(struct arena *a, const char *dir, const char *grpc_address,
			     const char *ns, const char *group);
