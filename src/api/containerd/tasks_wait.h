/* Tasks.Wait: a call that stays parked, without a thread, until the process has ended. */
#pragma once

#include "wire/rpc.h"

int tasks_wait(struct rpc_call *c, const void *req, void *rsp, struct err *e);
