/* The shim's command line and environment, as daemons write them.
 *
 * Flags are Go's: -x, --x, -x=v and -x v mean the same; "--" or the first word that is no flag ends
 * them.  That word is the action. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct shim_args {
	const char *ns, *id, *bundle;
	const char *address; /* the daemon's gRPC socket */
	const char *publish_binary, *socket, *debug_socket;
	bool debug, info, version;
	const char *action; /* "" serves */
	const char *ttrpc_address; /* environment; ADDRESS.ttrpc when it says nothing */
	bool has_max_version; /* MAX_SHIM_VERSION: since containerd 1.7 */
	bool has_grpc_address; /* GRPC_ADDRESS: since containerd 1.7 */
	uint32_t max_version;
};

/* Strings are borrowed from argv and the environment. */
int shim_args_parse(int argc, char **argv, struct shim_args *ret, struct err *e);
