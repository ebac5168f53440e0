/* A call that stays parked, without a thread, until a process has ended: Wait of tasks and
 * sandboxes. */
#pragma once

#include "task/task.h"
#include "wire/rpc.h"

#include "google/protobuf/timestamp.pb-c.h"

/* The answer, in the call's arena, and where in it the two facts go. */
struct exit_answer {
	void *rsp;
	uint32_t *status;
	Google__Protobuf__Timestamp **at;
};

/* t is one of ts; exec_id "" or NULL: its first process.  Returns RPC_PARKED. */
int exit_wait(struct rpc_call *c, struct tasks *ts, struct task *t, const char *exec_id,
	      const struct exit_answer *answer);
