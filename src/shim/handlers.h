/* The handlers of the task service, by file: service.c has their table. */
#pragma once

#include "wire/ttrpc_server.h"

ttrpc_handler task_create; /* task_create.c */
ttrpc_handler task_start, task_exec, task_delete; /* task_run.c */
ttrpc_handler task_kill, task_pause, task_resume, task_update; /* task_control.c */
ttrpc_handler task_resize_pty, task_close_io, task_shutdown;
ttrpc_handler task_checkpoint; /* task_checkpoint.c */
ttrpc_handler task_state, task_wait, task_pids, task_connect; /* task_query.c */
ttrpc_handler task_stats; /* stats.c */
