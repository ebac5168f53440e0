/* The task service, containerd.task.v2.Task and v3, on one table: their messages are the same
 * bytes; and the sandbox service. */
#pragma once

#include "wire/ttrpc_server.h"

/* call->user is the struct shim. */
extern const struct ttrpc_method service_methods[];
