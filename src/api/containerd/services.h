/* The services of the containerd API: one table of methods each, one array of them all.
 *
 * A new service is a file with its table, a line here and a line in services.c. */
#pragma once

#include "wire/rpc.h"

extern const struct rpc_method containers_methods[];
extern const struct rpc_method content_methods[];
extern const struct rpc_method images_methods[];
extern const struct rpc_method snapshots_methods[];
extern const struct rpc_method diff_methods[];
extern const struct rpc_method events_methods[];
extern const struct rpc_method health_methods[];
extern const struct rpc_method introspection_methods[];
extern const struct rpc_method leases_methods[];
extern const struct rpc_method mounts_methods[];
extern const struct rpc_method reflection_methods[];
extern const struct rpc_method namespaces_methods[];
extern const struct rpc_method sandbox_controller_methods[], sandbox_store_methods[];
extern const struct rpc_method streaming_methods[];
extern const struct rpc_method tasks_methods[];
extern const struct rpc_method transfer_methods[];
extern const struct rpc_method version_methods[];

/* Ended by a NULL name. */
extern const struct rpc_service api_services[];
/* Those of them that [grpc] tcp_address serves, to whoever may connect there. */
extern const struct rpc_service api_tcp_services[];
extern const struct rpc_service api_tcp_cri_services[]; /* unless disable_tcp_service */
