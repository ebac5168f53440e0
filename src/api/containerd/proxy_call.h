/* A unary call that another program's service is to answer: the same method, request and metadata,
 * over its socket.  Blocks as long as it takes, or until the client gives up. */
#pragma once

#include "wire/rpc.h"

/* address: a unix socket.  The error is the other program's. */
int proxy_call(struct rpc_call *c, const char *address, const void *req, void *rsp, struct err *e);
