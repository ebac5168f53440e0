#include "cmd/ctr/container_state.h"
#include "cmd/ctr/network.h"

#include "base/num.h"
#include "base/signame.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

int task_get(struct ctr *ctr, const char *id, const char *exec_id,
	     Containerd__V1__Types__Process **ret, struct err *e)
{
	TASKS(GetRequest) req = TASKS_INIT(GET_REQUEST);
	TASKS(GetResponse) * rsp;

	req.container_id = PB(id);
	req.exec_id = PB(exec_id);
	if (CTR_CALL(ctr, "tasks.v1.Tasks/Get", &req, tasks__v1__get_response, &rsp, e) < 0) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		err_clear(e);
		return err_set(e, ERR_NOT_FOUND, "no running task found: task %s not found", id);
	}
	if (!rsp->process)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a process");
	*ret = rsp->process;
	return 0;
}

int signal_parse(const char *s, uint32_t *ret, struct err *e)
{
	int named = signal_by_word(s);
	uint32_t n;

	if (num_u32(s, &n) == 0) {
		*ret = n;
		return 0;
	}
	if (named) {
		*ret = (uint32_t)named;
		return 0;
	}
	return err_set(e, ERR_UNKNOWN, "invalid signal: %s", s);
}

int task_kill(struct ctr *ctr, const char *id, const char *exec_id, uint32_t signal, bool all,
	      struct err *e)
{
	TASKS(KillRequest) req = TASKS_INIT(KILL_REQUEST);

	req.container_id = PB(id);
	req.exec_id = PB(exec_id);
	req.signal = signal;
	req.all = all;
	return CTR_CALL_EMPTY(ctr, "tasks.v1.Tasks/Kill", &req, e);
}

/* SIGKILL, and the end of it. */
static int kill_and_wait(struct ctr *ctr, const char *id, struct err *e)
{
	TASKS(WaitRequest) req = TASKS_INIT(WAIT_REQUEST);
	struct err gone = { 0 };

	if (task_kill(ctr, id, "", SIGKILL, true, &gone) < 0 && gone.code != ERR_NOT_FOUND &&
	    gone.code != ERR_FAILED_PRECONDITION)
		return err_copy(e, &gone);
	req.container_id = PB(id);
	return CTR_CALL(ctr, "tasks.v1.Tasks/Wait", &req, tasks__v1__wait_response, NULL, e);
}

/* Of one that ended.  rsp may be NULL. */
static int delete_ended(struct ctr *ctr, const char *id, TASKS(DeleteResponse) * *ret,
			struct err *e)
{
	TASKS(DeleteTaskRequest) req = TASKS_INIT(DELETE_TASK_REQUEST);

	req.container_id = PB(id);
	return CTR_CALL(ctr, "tasks.v1.Tasks/Delete", &req, tasks__v1__delete_response, ret, e);
}

int task_delete(struct ctr *ctr, const char *id, bool force, uint32_t *ret_status, struct err *e)
{
	TASKS(DeleteResponse) * rsp;
	Containerd__V1__Types__Process *p;

	if (task_get(ctr, id, "", &p, e) < 0)
		return -1;
	if (p->status != CONTAINERD__V1__TYPES__STATUS__STOPPED &&
	    p->status != CONTAINERD__V1__TYPES__STATUS__CREATED) {
		if (!force)
			return err_set(e, ERR_FAILED_PRECONDITION,
				       "task must be stopped before deletion: %s",
				       task_status_word(p->status));
		if (kill_and_wait(ctr, id, e) < 0)
			return -1;
	}
	if (delete_ended(ctr, id, &rsp, e) < 0)
		return -1;
	task_io_remove_paths(p->stdin, p->stdout, p->stderr);
	if (ret_status)
		*ret_status = rsp->exit_status;
	return 0;
}

void task_options_from(const struct args *args, struct task_options *ret)
{
	*ret = (struct task_options){
		.null_io = args_bool(args, "null-io"),
		.detach = args_bool(args, "detach"),
		.log_uri = args_string(args, "log-uri"),
		.fifo_dir = args_string(args, "fifo-dir"),
		.pid_file = args_string(args, "pid-file"),
		.log_driver = args_string(args, "log-driver"),
		.is_log_asked = args_is_set(args, "log-driver"),
		.log_opts = args_list(args, "log-opt", NULL),
	};
}

static int write_pid_file(const char *path, uint32_t pid, struct err *e)
{
	char text[16];
	int n, r;

	if (!*path)
		return 0;
	n = snprintf(text, sizeof text, "%u", pid);
	r = file_replace(AT_FDCWD, path, text, (size_t)n, 0644, false);
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

static void set_create_options(struct ctr *ctr, const struct task_options *opt,
			       TASKS(CreateTaskRequest) * req)
{
	Containerd__Runc__V1__Options o;
	Google__Protobuf__Any *any;

	if (!opt->no_pivot)
		return;
	any = ARENA_NEW(ctr->arena, Google__Protobuf__Any);
	google__protobuf__any__init(any);
	containerd__runc__v1__options__init(&o);
	o.no_pivot_root = true;
	any->type_url = PB("containerd.runc.v1.Options");
	any->value.data = arena_alloc(ctr->arena, 64);
	any->value.len = containerd__runc__v1__options__pack(&o, any->value.data);
	req->options = any;
}

static int create_task(struct ctr *ctr, const CONTAINERS(Container) * c, const struct task_io *io,
		       const struct task_options *opt, uint32_t *ret_pid, struct err *e)
{
	TASKS(CreateTaskRequest) req = TASKS_INIT(CREATE_TASK_REQUEST);
	SNAPSHOTS(MountsResponse) *root = NULL;
	TASKS(CreateTaskResponse) * rsp;

	if (opt->root) {
		req.rootfs = opt->root->mounts;
		req.n_rootfs = opt->root->n_mounts;
	} else if (*c->snapshot_key) {
		if (container_mounts(ctr, c, &root, e) < 0)
			return -1;
		req.rootfs = root->mounts;
		req.n_rootfs = root->n_mounts;
	}
	req.container_id = c->id;
	req.stdin = PB(io->in);
	req.stdout = PB(io->log ? io->log : io->out);
	req.stderr = PB(io->log ? io->log : io->err);
	req.terminal = io->terminal;
	req.checkpoint = opt->checkpoint;
	set_create_options(ctr, opt, &req);
	if (CTR_CALL(ctr, "tasks.v1.Tasks/Create", &req, tasks__v1__create_task_response, &rsp, e) <
	    0)
		return -1;
	*ret_pid = rsp->pid;
	return 0;
}

static int start_task(struct ctr *ctr, const char *id, struct err *e)
{
	TASKS(StartRequest) req = TASKS_INIT(START_REQUEST);

	req.container_id = PB(id);
	return CTR_CALL(ctr, "tasks.v1.Tasks/Start", &req, tasks__v1__start_response, NULL, e);
}

int task_follow(struct task_io *io, struct grpc_stream *wait, struct err *e)
{
	uint32_t status = 0;
	int sig = 0;

	if (task_io_run(io, wait, &status, &sig, e) < 0)
		return -1;
	if (sig) {
		io->ctr->exit_code = 128 + sig;
		return err_set(e, ERR_CANCELLED, "signal %d", sig);
	}
	io->ctr->exit_code = (int)status;
	return 0;
}

/* From the created task to its end. */
static int carry(struct ctr *ctr, const CONTAINERS(Container) * c, struct task_io *io,
		 const struct task_options *opt, struct err *e)
{
	struct grpc_stream *wait AUTO_GRPC_STREAM = NULL;

	if (!opt->detach && task_wait_open(io, &wait, e) < 0)
		return -1;
	terminal_resize(io);
	if (start_task(ctr, c->id, e) < 0)
		return -1;
	if (opt->detach)
		return 0;
	if (task_follow(io, wait, e) < 0)
		return -1;
	network_detach_task(ctr, c);
	return delete_ended(ctr, c->id, NULL, e);
}

static void drop_task(struct ctr *ctr, const char *id)
{
	Containerd__V1__Types__Process *p;
	struct err ignored = { 0 };

	if (task_get(ctr, id, "", &p, &ignored) < 0)
		return;
	/* One that was to be restored has no process yet: nothing to wait for. */
	if (!p->pid || kill_and_wait(ctr, id, &ignored) == 0)
		(void)delete_ended(ctr, id, NULL, &ignored);
}

static int make_io(struct ctr *ctr, const CONTAINERS(Container) * c, const struct task_options *opt,
		   struct task_io *ret, struct err *e)
{
	bool tty;

	if (container_has_terminal(c, &tty, e) < 0)
		return -1;
	if (opt->null_io || *opt->log_uri) {
		task_io_null(ctr, c->id, opt->log_uri, ret);
		ret->terminal = tty;
		return 0;
	}
	if (task_io_create(ctr, opt->fifo_dir, c->id, "", tty, ret, e) < 0)
		return -1;
	const char *runtime = c->runtime ? c->runtime->name : DEFAULT_RUNTIME;

	if (!opt->detach || log_uri_make(ctr, runtime, opt, ret, &ret->log, e) == 0)
		return 0;
	task_io_remove(ret);
	return -1;
}

int task_run(struct ctr *ctr, const CONTAINERS(Container) * c, const struct task_options *opt,
	     struct err *e)
{
	struct task_io io;
	uint32_t pid = 0;
	int r;

	if (make_io(ctr, c, opt, &io, e) < 0)
		return -1;
	r = opt->detach ? 0 : terminal_begin(&io, e);
	/* Detached, too: containerd's own shim waits in Create for somebody who reads. */
	if (r == 0)
		r = task_io_open(&io, e);
	if (r == 0)
		r = create_task(ctr, c, &io, opt, &pid, e);
	if (r < 0) {
		terminal_end();
		task_io_remove(&io);
		return -1;
	}
	r = write_pid_file(opt->pid_file, pid, e);
	if (r == 0)
		r = network_attach_task(ctr, c, pid, e);
	if (r == 0)
		r = carry(ctr, c, &io, opt, e);
	terminal_end();
	if (r < 0 && e->code != ERR_CANCELLED) {
		network_detach_task(ctr, c);
		drop_task(ctr, c->id);
	}
	if (r < 0 || !opt->detach)
		task_io_remove(&io);
	else
		task_io_close(&io);
	return r;
}
