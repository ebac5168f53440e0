/* The sandbox service, containerd.runtime.sandbox.v1.Sandbox: a shim that is there before its first
 * container and stays behind its last one, until it is told to go.  The sandbox has no process of
 * its own but the shim; its end ends its containers. */
#pragma once

#include "wire/ttrpc_server.h"

struct sandbox;

void sandbox_free(struct sandbox *sb); /* NULL is fine */

/* The handlers: service.c has their table. */
ttrpc_handler sandbox_create, sandbox_start, sandbox_platform, sandbox_stop, sandbox_wait;
ttrpc_handler sandbox_status, sandbox_ping, sandbox_shutdown, sandbox_metrics;
