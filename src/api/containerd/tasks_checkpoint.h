/* Checkpoints of tasks: made by Tasks.Checkpoint, gone on from by Tasks.Create. */
#pragma once

#include "api/containerd/api.h"
#include "containerd/services/tasks/v1/tasks.pb-c.h"
#include "task/task.h"

int tasks_checkpoint(struct rpc_call *c, const void *req, void *rsp, struct err *e);

/* What a new task is made from, if the request names a checkpoint: a folder by its runtime options,
 * or a blob.  *keep lives as long as *n. */
struct tasks_restore {
	const struct call *call;
	const Containerd__Types__Descriptor *blob;
};
int tasks_restore_from(const struct call *call,
		       const Containerd__Services__Tasks__V1__CreateTaskRequest *q,
		       struct task_new *n, struct tasks_restore *keep, struct err *e);
