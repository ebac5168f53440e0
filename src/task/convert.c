/* From the shim's protobuf types to the plain ones of task.h. */
#include "task/internal.h"

#include "base/timefmt.h"

struct timespec task_time(const Google__Protobuf__Timestamp *t)
{
	if (!t || t->seconds == TIMEFMT_GO_ZERO_SEC)
		return (struct timespec){ 0 };
	return (struct timespec){ .tv_sec = t->seconds, .tv_nsec = t->nanos };
}

void task_state_from(const Containerd__Task__V3__StateResponse *r, const char *id, struct arena *a,
		     struct task_state *ret)
{
	*ret = (struct task_state){
		.container_id = arena_strdup(a, id),
		.exec_id = arena_strdup(a, r->exec_id),
		.status = (enum task_status)r->status,
		.pid = r->pid,
		.in = arena_strdup(a, r->stdin),
		.out = arena_strdup(a, r->stdout),
		.err = arena_strdup(a, r->stderr),
		.terminal = r->terminal,
		.exit = { .pid = r->pid, .status = r->exit_status, .at = task_time(r->exited_at) },
	};
}

void task_note_state(struct task *t, const Containerd__Task__V3__StateResponse *r)
{
	struct task_io io = { r->stdin, r->stdout, r->stderr, r->terminal };

	task_note_io(t, &io);
	pthread_mutex_lock(&t->lock);
	t->last.status = (enum task_status)r->status;
	t->last.pid = r->pid;
	t->last.exit = (struct task_exit){ r->pid, r->exit_status, task_time(r->exited_at) };
	t->is_slow = false;
	pthread_mutex_unlock(&t->lock);
}
