/* One connection to a shim, without the daemon in between: for `ctr shim`. */
#pragma once

#include "cmd/ctr/ctr.h"

#include "containerd/runtime/task/v3/shim.pb-c.h"

struct shim_client;

/* By --shim-address, or by where the shim of --id listens. */
int shim_client_open(struct ctr *ctr, const char *id, const char *address, struct shim_client **ret,
		     struct err *e);
void shim_client_close(struct shim_client *s); /* NULL is fine */

/* version: of the task API, 2 or 3.  *ret (or NULL) is freed by
 * protobuf_c_message_free_unpacked(). */
int shim_client_call(struct shim_client *s, int version, const char *method, const void *req,
		     const ProtobufCMessageDescriptor *rsp, void *ret, struct err *e);
