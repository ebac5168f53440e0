/* Tasks: the steps that run, start, exec, attach and delete share. */
#pragma once

#include "cmd/ctr/container.h"
#include "cmd/ctr/task_io.h"

/* The record; the sentence for a container without a task is the original's. */
int task_get(struct ctr *ctr, const char *id, const char *exec_id,
	     Containerd__V1__Types__Process **ret, struct err *e);

#define DEFAULT_RUNTIME "io.containerd.runc.v2"

struct task_options {
	bool null_io, detach, no_pivot, is_log_asked; /* log_driver is not the default */
	const char *log_uri, *fifo_dir, *pid_file; /* "" when absent */
	const char *log_driver; /* "cri", "json", "none" */
	const char *const *log_opts; /* ends with NULL */
	Containerd__Types__Descriptor *checkpoint; /* to go on from; or NULL */
	SNAPSHOTS(PrepareSnapshotResponse) * root; /* the mounts, where they are known */
};
void task_options_from(const struct args *args, struct task_options *ret);

/* Create, Wait, Start and, unless detached, everything up to the deletion of the task.
 * ctr->exit_code is the container's. */
int task_run(struct ctr *ctr, const CONTAINERS(Container) * c, const struct task_options *opt,
	     struct err *e);

/* Waits for io's process, copies its streams.  What a session ends with: the status as exit code,
 * or ERR_CANCELLED when a signal took us away. */
int task_follow(struct task_io *io, struct grpc_stream *wait, struct err *e);

/* Tasks.Delete, and its fifos.  force: SIGKILL first. */
int task_delete(struct ctr *ctr, const char *id, bool force, uint32_t *ret_status, struct err *e);

int task_kill(struct ctr *ctr, const char *id, const char *exec_id, uint32_t signal, bool all,
	      struct err *e);

/* "SIGKILL", "kill", "9". */
int signal_parse(const char *s, uint32_t *ret, struct err *e);

command_fn tasks_exec, tasks_metrics;
extern const struct flag exec_flags[];
