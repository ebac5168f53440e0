/* Content.Write: the one bidirectional stream of the Content service. */
#pragma once

#include "wire/rpc.h"

int content_write(struct rpc_call *c, const void *req, void *rsp, struct err *e);
