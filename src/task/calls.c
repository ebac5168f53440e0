/* The short calls: one request to the shim, one answer. */
#include "task/internal.h"

#include <string.h>

static char *text(const char *s)
{
	return (char *)(s ?: "");
}

static bool is_init(const char *exec_id)
{
	return !exec_id || !*exec_id;
}

void task_any_to(const struct any *from, Google__Protobuf__Any *to)
{
	google__protobuf__any__init(to);
	to->type_url = text(from->type_url);
	to->value = (ProtobufCBinaryData){ from->n, (uint8_t *)from->value };
}

struct any task_any_from(const Google__Protobuf__Any *from, struct arena *a)
{
	if (!from)
		return (struct any){ 0 };
	return (struct any){ .type_url = arena_strdup(a, from->type_url),
			     .value = arena_memdup(a, from->value.data, from->value.len),
			     .n = from->value.len };
}

int task_state(struct task *t, const char *exec_id, struct arena *a, struct task_state *ret,
	       struct err *e)
{
	Containerd__Task__V3__StateRequest req = CONTAINERD__TASK__V3__STATE_REQUEST__INIT;
	Containerd__Task__V3__StateResponse *rsp = NULL;

	req.id = t->id;
	req.exec_id = text(exec_id);
	if (task_call(t, "State", t->ts->env->timeouts.state, &req,
		      &containerd__task__v3__state_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	if (is_init(exec_id))
		task_note_state(t, rsp);
	task_state_from(rsp, t->id, a, ret);
	if (!is_init(exec_id) && !*ret->exec_id)
		ret->exec_id = arena_strdup(a, exec_id); /* shims of 1.6 leave it out */
	containerd__task__v3__state_response__free_unpacked(rsp, NULL);
	return 0;
}

int task_start(struct task *t, const char *exec_id, uint32_t *ret_pid, struct err *e)
{
	Containerd__Task__V3__StartRequest req = CONTAINERD__TASK__V3__START_REQUEST__INIT;
	Containerd__Task__V3__StartResponse *rsp = NULL;

	req.id = t->id;
	req.exec_id = text(exec_id);
	if (task_call(t, "Start", t->ts->env->timeouts.start, &req,
		      &containerd__task__v3__start_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	*ret_pid = rsp->pid;
	containerd__task__v3__start_response__free_unpacked(rsp, NULL);
	if (is_init(exec_id))
		task_note_status(t, TASK_RUNNING, *ret_pid);
	return 0;
}

int task_kill(struct task *t, const char *exec_id, uint32_t signal, bool all, struct err *e)
{
	Containerd__Task__V3__KillRequest req = CONTAINERD__TASK__V3__KILL_REQUEST__INIT;

	req.id = t->id;
	req.exec_id = text(exec_id);
	req.signal = signal;
	req.all = all;
	return task_call(t, "Kill", TASK_CALL_NS, &req, NULL, NULL, e);
}

int task_exec(struct task *t, const char *exec_id, const struct any *process,
	      const struct task_io *io, struct err *e)
{
	Containerd__Task__V3__ExecProcessRequest req =
		CONTAINERD__TASK__V3__EXEC_PROCESS_REQUEST__INIT;
	Google__Protobuf__Any spec;

	task_any_to(process, &spec);
	req.id = t->id;
	req.exec_id = text(exec_id);
	req.terminal = io->terminal;
	req.stdin = text(io->in);
	req.stdout = text(io->out);
	req.stderr = text(io->err);
	req.spec = &spec;
	bool is_noted = !is_init(exec_id) && remains_note_fifos(t, exec_id, io);
	int r = task_call(t, "Exec", t->ts->env->timeouts.start, &req, NULL, NULL, e);

	if (r < 0 && is_noted)
		remains_forget_fifos(t, exec_id);
	return r;
}

int task_resize(struct task *t, const char *exec_id, uint32_t width, uint32_t height, struct err *e)
{
	Containerd__Task__V3__ResizePtyRequest req = CONTAINERD__TASK__V3__RESIZE_PTY_REQUEST__INIT;

	req.id = t->id;
	req.exec_id = text(exec_id);
	req.width = width;
	req.height = height;
	return task_call(t, "ResizePty", TASK_CALL_NS, &req, NULL, NULL, e);
}

int task_close_io(struct task *t, const char *exec_id, struct err *e)
{
	Containerd__Task__V3__CloseIORequest req = CONTAINERD__TASK__V3__CLOSE_IOREQUEST__INIT;

	req.id = t->id;
	req.exec_id = text(exec_id);
	req.stdin = true;
	return task_call(t, "CloseIO", TASK_CALL_NS, &req, NULL, NULL, e);
}

int task_pause(struct task *t, struct err *e)
{
	Containerd__Task__V3__PauseRequest req = CONTAINERD__TASK__V3__PAUSE_REQUEST__INIT;

	req.id = t->id;
	if (task_call(t, "Pause", TASK_CALL_NS, &req, NULL, NULL, e) < 0)
		return -1;
	task_note_status(t, TASK_PAUSED, 0);
	return 0;
}

int task_resume(struct task *t, struct err *e)
{
	Containerd__Task__V3__ResumeRequest req = CONTAINERD__TASK__V3__RESUME_REQUEST__INIT;

	req.id = t->id;
	if (task_call(t, "Resume", TASK_CALL_NS, &req, NULL, NULL, e) < 0)
		return -1;
	task_note_status(t, TASK_RUNNING, 0);
	return 0;
}

int task_update(struct task *t, const struct any *resources, const struct labels *annotations,
		struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	Containerd__Task__V3__UpdateTaskRequest req =
		CONTAINERD__TASK__V3__UPDATE_TASK_REQUEST__INIT;
	Google__Protobuf__Any any;

	task_any_to(resources, &any);
	req.id = t->id;
	req.resources = &any;
	req.n_annotations = annotations->n;
	req.annotations = arena_array(a, annotations->n + 1, sizeof *req.annotations);
	for (size_t i = 0; i < annotations->n; i++) {
		Containerd__Task__V3__UpdateTaskRequest__AnnotationsEntry *entry =
			arena_alloc(a, sizeof *entry);

		containerd__task__v3__update_task_request__annotations_entry__init(entry);
		entry->key = text(annotations->v[i].key);
		entry->value = text(annotations->v[i].value);
		req.annotations[i] = entry;
	}
	return task_call(t, "Update", TASK_CALL_NS, &req, NULL, NULL, e);
}

int task_checkpoint(struct task *t, const char *dir, const struct any *options, uint64_t deadline,
		    struct err *e)
{
	Containerd__Task__V3__CheckpointTaskRequest req =
		CONTAINERD__TASK__V3__CHECKPOINT_TASK_REQUEST__INIT;
	Google__Protobuf__Any any;

	req.id = t->id;
	req.path = text(dir);
	if (options->type_url) {
		task_any_to(options, &any);
		req.options = &any;
	}
	return task_call(t, "Checkpoint", task_time_left(t, deadline), &req, NULL, NULL, e);
}

int task_pids(struct task *t, struct arena *a, struct task_pid **ret, size_t *ret_n, struct err *e)
{
	Containerd__Task__V3__PidsRequest req = CONTAINERD__TASK__V3__PIDS_REQUEST__INIT;
	Containerd__Task__V3__PidsResponse *rsp = NULL;

	req.id = t->id;
	if (task_call(t, "Pids", TASK_CALL_NS, &req,
		      &containerd__task__v3__pids_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	*ret_n = rsp->n_processes;
	*ret = arena_array(a, rsp->n_processes + 1, sizeof **ret);
	for (size_t i = 0; i < rsp->n_processes; i++) {
		(*ret)[i].pid = rsp->processes[i]->pid;
		(*ret)[i].info = task_any_from(rsp->processes[i]->info, a);
	}
	containerd__task__v3__pids_response__free_unpacked(rsp, NULL);
	return 0;
}

int task_stats(struct task *t, struct arena *a, struct any *ret, struct err *e)
{
	Containerd__Task__V3__StatsRequest req = CONTAINERD__TASK__V3__STATS_REQUEST__INIT;
	Containerd__Task__V3__StatsResponse *rsp = NULL;

	req.id = t->id;
	if (task_call(t, "Stats", t->ts->env->timeouts.stats, &req,
		      &containerd__task__v3__stats_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	*ret = task_any_from(rsp->stats, a);
	containerd__task__v3__stats_response__free_unpacked(rsp, NULL);
	return 0;
}
