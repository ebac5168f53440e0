/* Snapshotters in other programs: the Snapshots service called instead of served. */
#pragma once

#include "store/snapshot_remote.h"

/* gRPC over the unix socket; a connection a call, which costs less than what is behind it. */
extern const struct snapshot_remote snapshot_proxy_remote;
