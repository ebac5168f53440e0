/* ctr tasks: list, start, kill, attach, delete, ps, pause, resume, metrics */
#include "cmd/ctr/checkpoint.h"
#include "cmd/ctr/container_state.h"
#include "cmd/ctr/list_json.h"
#include "cmd/ctr/network.h"
#include "cmd/ctr/table.h"
#include "cmd/ctr/trace_file.h"

#include "base/log.h"

static void list_json(const TASKS(ListTasksResponse) * rsp)
{
	struct str out AUTO_STR = STR_INIT(16 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < rsp->n_tasks; i++) {
		jsonw_object(&w);
		jsonw_kstring(&w, "ID", rsp->tasks[i]->id);
		jsonw_ku64(&w, "Pid", rsp->tasks[i]->pid);
		jsonw_kstring(&w, "Status", task_status_word(rsp->tasks[i]->status));
		jsonw_end(&w);
	}
	jsonw_end(&w);
	puts(str_c(&out));
}

static int tasks_list(struct ctr *ctr, const struct args *args, struct err *e)
{
	static const char *const names[] = { "UNKNOWN", "CREATED", "RUNNING",
					     "STOPPED", "PAUSED",  "PAUSING" };
	TASKS(ListTasksRequest) req = TASKS_INIT(LIST_TASKS_REQUEST);
	struct table t = TABLE_WIDE(ctr->arena);
	TASKS(ListTasksResponse) * rsp;
	bool json;

	if (list_wants_json(args, &json, e) < 0)
		return -1;
	if (CTR_CALL(ctr, "tasks.v1.Tasks/List", &req, tasks__v1__list_tasks_response, &rsp, e) < 0)
		return -1;
	if (json && !args_bool(args, "quiet")) {
		list_json(rsp);
		return 0;
	}
	if (!args_bool(args, "quiet"))
		table_row(&t, "TASK", "PID", "STATUS", "", NULL);
	for (size_t i = 0; i < rsp->n_tasks; i++) {
		const Containerd__V1__Types__Process *p = rsp->tasks[i];
		size_t s = (size_t)p->status;

		if (args_bool(args, "quiet"))
			ctr_puts(ctr, p->id);
		else
			table_row(&t, p->id, arena_printf(ctr->arena, "%u", p->pid),
				  s < ARRAY_LEN(names) ? names[s] : "UNKNOWN", NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int need_container(struct ctr *ctr, const struct args *args, CONTAINERS(Container) * *ret,
			  struct err *e)
{
	CONTAINERS(Container) * c;

	if (!*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	return container_get(ctr, args->v[0], ret ? ret : &c, e);
}

/* A session that a signal ended is no failure of ours: the exit code says it. */
static int end_session(int r, struct err *e)
{
	if (r < 0 && e->code == ERR_CANCELLED) {
		err_clear(e);
		return 0;
	}
	return r;
}

static int start(struct ctr *ctr, const struct args *args, struct err *e)
{
	CONTAINERS(Container) * c;
	struct task_options opt;

	if (need_container(ctr, args, &c, e) < 0)
		return -1;
	task_options_from(args, &opt);
	opt.no_pivot = args_bool(args, "no-pivot");
	return end_session(task_run(ctr, c, &opt, e), e);
}

static int tasks_start(struct ctr *ctr, const struct args *args, struct err *e)
{
	return traced(ctr, args, "ctr tasks start", start, e);
}

static int tasks_attach(struct ctr *ctr, const struct args *args, struct err *e)
{
	struct grpc_stream *wait AUTO_GRPC_STREAM = NULL;
	Containerd__V1__Types__Process *p;
	struct task_io io;
	int r;

	if (need_container(ctr, args, NULL, e) < 0 || task_get(ctr, args->v[0], "", &p, e) < 0)
		return -1;
	task_io_attach(ctr, p, &io);
	if (!*io.in && !*io.out)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "the task of %s has no streams to attach to (it was started with "
			       "--null-io)",
			       p->id);
	if (terminal_begin(&io, e) < 0)
		return -1;
	r = task_io_open(&io, e);
	if (r == 0)
		r = task_wait_open(&io, &wait, e);
	if (r == 0) {
		terminal_resize(&io);
		r = task_follow(&io, wait, e);
	}
	terminal_end();
	task_io_close(&io);
	if (r == 0)
		r = task_delete(ctr, p->id, false, NULL, e);
	if (r < 0 && e->code == ERR_NOT_FOUND) { /* who started it has deleted it already */
		err_clear(e);
		r = 0;
	}
	return end_session(r, e);
}

/* The stop signal that the image or the creator asked for. */
static const char *stop_signal(struct ctr *ctr, const CONTAINERS(Container) * c)
{
	const char *s;
	struct labels l;

	labels_from_pb(ctr->arena, c->labels, c->n_labels, &l);
	s = labels_get(&l, "io.containerd.image.config.stop-signal");
	return s && *s ? s : "SIGTERM";
}

static int tasks_kill(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *exec_id = args_string(args, "exec-id"), *word = args_string(args, "signal");
	bool all = args_bool(args, "all");
	CONTAINERS(Container) * c;
	uint32_t sig;

	if (all && *exec_id)
		return err_set(e, ERR_UNKNOWN,
			       "can't set both --all and --exec-id: all processes or one");
	if (*word && signal_parse(word, &sig, e) < 0)
		return -1;
	if (need_container(ctr, args, &c, e) < 0)
		return -1;
	if (!*word && signal_parse(stop_signal(ctr, c), &sig, e) < 0)
		return -1;
	return task_kill(ctr, c->id, exec_id, sig, all, e);
}

static int delete_exec(struct ctr *ctr, const char *id, const char *exec_id, bool force,
		       struct err *e)
{
	TASKS(DeleteProcessRequest) req = TASKS_INIT(DELETE_PROCESS_REQUEST);
	TASKS(WaitRequest) wait = TASKS_INIT(WAIT_REQUEST);
	struct err gone = { 0 };
	TASKS(DeleteResponse) * rsp;

	req.container_id = wait.container_id = PB(id);
	req.exec_id = wait.exec_id = PB(exec_id);
	if (force && task_kill(ctr, id, exec_id, 9, false, &gone) == 0 &&
	    CTR_CALL(ctr, "tasks.v1.Tasks/Wait", &wait, tasks__v1__wait_response, NULL, e) < 0)
		return -1;
	if (CTR_CALL(ctr, "tasks.v1.Tasks/DeleteProcess", &req, tasks__v1__delete_response, &rsp,
		     e) < 0)
		return -1;
	ctr->exit_code = (int)rsp->exit_status;
	return 0;
}

static int delete_one(struct ctr *ctr, const char *id, bool force, struct err *e)
{
	CONTAINERS(Container) * c;
	uint32_t status;

	if (container_get(ctr, id, &c, e) < 0)
		return -1;
	if (task_delete(ctr, id, force, &status, e) < 0)
		return -1;
	network_detach_task(ctr, c);
	if (status)
		ctr_warn("task %s exit with non-zero exit code %u", id, status);
	return 0;
}

static int tasks_delete(struct ctr *ctr, const struct args *args, struct err *e)
{
	const char *exec_id = args_string(args, "exec-id");
	bool force = args_bool(args, "force");
	struct err first = { 0 };
	char text[1100];

	if (!args->n)
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (*exec_id)
		return delete_exec(ctr, args->v[0], exec_id, force, e);
	for (size_t i = 0; i < args->n; i++) {
		struct err one = { 0 };

		if (delete_one(ctr, args->v[i], force, &one) == 0)
			continue;
		log_error(LOG({ "error", err_text(&one, text, sizeof text) }), "%s %s",
			  one.code == ERR_NOT_FOUND ? "failed to load task from"
						    : "unable to delete",
			  args->v[i]);
		if (!first.code)
			first = one;
	}
	return first.code ? err_copy(e, &first) : 0;
}

/* The exec that a process belongs to, by what the shim says of it; NULL: not known. */
static const char *exec_of(struct arena *a, const Containerd__V1__Types__ProcessInfo *p)
{
	Containerd__Runc__V1__ProcessDetails *d;
	const char *id;

	if (!p->info)
		return NULL;
	d = containerd__runc__v1__process_details__unpack(NULL, p->info->value.len,
							  p->info->value.data);
	if (!d)
		return NULL;
	id = arena_strdup(a, d->exec_id);
	containerd__runc__v1__process_details__free_unpacked(d, NULL);
	return id;
}

static void ps_json(struct arena *a, const TASKS(ListPidsResponse) * rsp)
{
	struct str out AUTO_STR = STR_INIT(16 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 4);
	jsonw_array(&w);
	for (size_t i = 0; i < rsp->n_processes; i++) {
		const char *exec_id = exec_of(a, rsp->processes[i]);

		jsonw_object(&w);
		jsonw_ku64(&w, "Pid", rsp->processes[i]->pid);
		if (exec_id)
			jsonw_kstring(&w, "ExecID", exec_id);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	puts(str_c(&out));
}

static int tasks_ps(struct ctr *ctr, const struct args *args, struct err *e)
{
	TASKS(ListPidsRequest) req = TASKS_INIT(LIST_PIDS_REQUEST);
	struct table t = TABLE_WIDE(ctr->arena);
	TASKS(ListPidsResponse) * rsp;
	bool json;

	if (list_wants_json(args, &json, e) < 0 || need_container(ctr, args, NULL, e) < 0)
		return -1;
	req.container_id = PB(args->v[0]);
	if (CTR_CALL(ctr, "tasks.v1.Tasks/ListPids", &req, tasks__v1__list_pids_response, &rsp, e) <
	    0)
		return -1;
	if (json) {
		ps_json(ctr->arena, rsp);
		return 0;
	}
	table_row(&t, "PID", "INFO", NULL);
	for (size_t i = 0; i < rsp->n_processes; i++) {
		const char *exec_id = exec_of(ctr->arena, rsp->processes[i]);

		table_row(&t, arena_printf(ctr->arena, "%u", rsp->processes[i]->pid),
			  exec_id ? arena_printf(ctr->arena, "exec_id:\"%s\"", exec_id) : "-",
			  NULL);
	}
	table_print(&t, stdout);
	return 0;
}

static int tasks_pause(struct ctr *ctr, const struct args *args, struct err *e)
{
	TASKS(PauseTaskRequest) req = TASKS_INIT(PAUSE_TASK_REQUEST);

	if (need_container(ctr, args, NULL, e) < 0)
		return -1;
	req.container_id = PB(args->v[0]);
	return CTR_CALL_EMPTY(ctr, "tasks.v1.Tasks/Pause", &req, e);
}

static int tasks_resume(struct ctr *ctr, const struct args *args, struct err *e)
{
	TASKS(ResumeTaskRequest) req = TASKS_INIT(RESUME_TASK_REQUEST);

	if (need_container(ctr, args, NULL, e) < 0)
		return -1;
	req.container_id = PB(args->v[0]);
	return CTR_CALL_EMPTY(ctr, "tasks.v1.Tasks/Resume", &req, e);
}

static const struct flag start_flags[] = {
	TRACE_FLAG,
	{ "no-pivot", FLAG_BOOL, NULL, "disable use of pivot-root (linux only)" },
	{ "null-io", FLAG_BOOL, NULL, "send all IO to /dev/null" },
	{ "fifo-dir", FLAG_STRING, NULL, "directory used for storing IO FIFOs" },
	{ "pid-file", FLAG_STRING, NULL, "file path to write the task's pid" },
	{ "detach", FLAG_BOOL, "d", "detach from the task after it has started execution" },
	{ NULL },
};

static const struct flag kill_flags[] = {
	{ "signal", FLAG_STRING, "s", "signal to send to the container" },
	{ "exec-id", FLAG_STRING, NULL, "process ID to kill" },
	{ "all", FLAG_BOOL, "a", "send signal to all processes inside the container" },
	{ NULL },
};

static const struct flag delete_flags[] = {
	{ "force", FLAG_BOOL, "f", "force delete task process" },
	{ "exec-id", FLAG_STRING, NULL, "process ID to kill" },
	{ NULL },
};

const struct command tasks_commands[] = {
	{ .name = "attach",
	  .usage = "attach to the IO of a running container",
	  .args_usage = "CONTAINER",
	  .run = tasks_attach },
	{ .name = "checkpoint",
	  .usage = "checkpoint a container",
	  .args_usage = "[flags] CONTAINER",
	  .flags = { tasks_checkpoint_flags },
	  .run = tasks_checkpoint },
	{ .name = "delete",
	  .aliases = "del remove rm",
	  .usage = "delete one or more tasks",
	  .args_usage = "CONTAINER [CONTAINER, ...]",
	  .flags = { delete_flags },
	  .run = tasks_delete },
	{ .name = "exec",
	  .usage = "execute additional processes in an existing container",
	  .args_usage = "[flags] CONTAINER CMD [ARG...]",
	  .flags = { exec_flags },
	  .run = tasks_exec },
	{ .name = "list",
	  .aliases = "ls",
	  .usage = "list tasks",
	  .args_usage = "[flags]",
	  .flags = { quiet_flags, list_format_flags },
	  .run = tasks_list },
	{ .name = "kill",
	  .usage = "signal a container (default: SIGTERM)",
	  .args_usage = "[flags] CONTAINER",
	  .flags = { kill_flags },
	  .run = tasks_kill },
	{ .name = "pause",
	  .usage = "pause an existing container",
	  .args_usage = "CONTAINER",
	  .run = tasks_pause },
	{ .name = "ps",
	  .usage = "list processes for container",
	  .args_usage = "CONTAINER",
	  .flags = { list_format_flags },
	  .run = tasks_ps },
	{ .name = "resume",
	  .usage = "resume a paused container",
	  .args_usage = "CONTAINER",
	  .run = tasks_resume },
	{ .name = "start",
	  .usage = "start a container that has been created",
	  .args_usage = "CONTAINER",
	  .flags = { start_flags, log_flags },
	  .run = tasks_start },
	{ .name = "metrics",
	  .aliases = "metric",
	  .usage = "get a single data point of metrics for a task with the built-in Linux runtime",
	  .args_usage = "CONTAINER",
	  .flags = { list_format_flags },
	  .run = tasks_metrics },
	{ .name = NULL },
};
