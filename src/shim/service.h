/* The task service, containerd.task.v2.Task and v3, on one table: their messages are the same
 * bytes; and the sandbox service. */
#pragma once

#include "wire/ttrpc_server.h"

/* call->user is the struct shim. */
extern const struct ttrpc_method service_methods[];

/* Private to service.c: the handlers, by file. */
ttrpc_handler task_create; /* task_create.c */
ttrpc_handler task_start, task_exec, task_delete; /* task_run.c */
ttrpc_handler task_kill, task_pause, task_resume, task_update; /* task_control.c */
ttrpc_handler task_resize_pty, task_close_io, task_shutdown;
ttrpc_handler task_checkpoint; /* task_checkpoint.c */
ttrpc_handler task_state, task_wait, task_pids, task_connect; /* task_query.c */
ttrpc_handler task_stats; /* stats.c */
