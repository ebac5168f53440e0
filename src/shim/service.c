#include "shim/service.h"

#include "containerd/runtime/sandbox/v1/sandbox.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "shim/handlers.h"
#include "shim/sandbox.h"

#define BOTH(name, req, fn)                                                                     \
	{ "containerd.task.v2.Task", name, &containerd__task__v3__##req##__descriptor, fn },    \
	{                                                                                       \
		"containerd.task.v3.Task", name, &containerd__task__v3__##req##__descriptor, fn \
	}

#define SANDBOX(name, req, fn)                                                     \
	{                                                                          \
		"containerd.runtime.sandbox.v1.Sandbox", name,                     \
			&containerd__runtime__sandbox__v1__##req##__descriptor, fn \
	}

const struct ttrpc_method service_methods[] = {
	BOTH("State", state_request, task_state),
	BOTH("Create", create_task_request, task_create),
	BOTH("Start", start_request, task_start),
	BOTH("Delete", delete_request, task_delete),
	BOTH("Pids", pids_request, task_pids),
	BOTH("Pause", pause_request, task_pause),
	BOTH("Resume", resume_request, task_resume),
	BOTH("Checkpoint", checkpoint_task_request, task_checkpoint),
	BOTH("Kill", kill_request, task_kill),
	BOTH("Exec", exec_process_request, task_exec),
	BOTH("ResizePty", resize_pty_request, task_resize_pty),
	BOTH("CloseIO", close_iorequest, task_close_io),
	BOTH("Update", update_task_request, task_update),
	BOTH("Wait", wait_request, task_wait),
	BOTH("Stats", stats_request, task_stats),
	BOTH("Connect", connect_request, task_connect),
	BOTH("Shutdown", shutdown_request, task_shutdown),
	SANDBOX("CreateSandbox", create_sandbox_request, sandbox_create),
	SANDBOX("StartSandbox", start_sandbox_request, sandbox_start),
	SANDBOX("Platform", platform_request, sandbox_platform),
	SANDBOX("StopSandbox", stop_sandbox_request, sandbox_stop),
	SANDBOX("WaitSandbox", wait_sandbox_request, sandbox_wait),
	SANDBOX("SandboxStatus", sandbox_status_request, sandbox_status),
	SANDBOX("PingSandbox", ping_request, sandbox_ping),
	SANDBOX("ShutdownSandbox", shutdown_sandbox_request, sandbox_shutdown),
	SANDBOX("SandboxMetrics", sandbox_metrics_request, sandbox_metrics),
	{ NULL },
};
