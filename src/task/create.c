/* A new task: bundle, shim, Create; all of it undone when a step fails. */
#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

Containerd__Types__Mount **task_mounts_to(const struct mounts *from, struct arena *a)
{
	Containerd__Types__Mount **v = arena_array(a, from->n + 1, sizeof *v);

	for (size_t i = 0; i < from->n; i++) {
		v[i] = ARENA_NEW(a, Containerd__Types__Mount);
		containerd__types__mount__init(v[i]);
		v[i]->type = (char *)(from->v[i].type ?: "");
		v[i]->source = (char *)(from->v[i].source ?: "");
		v[i]->target = (char *)(from->v[i].target ?: "");
		v[i]->n_options = from->v[i].noptions;
		v[i]->options = (char **)from->v[i].options;
	}
	return v;
}

uint64_t task_time_left(const struct task *t, uint64_t deadline)
{
	uint64_t longest = t->ts->env->timeouts.start;
	uint64_t now = loop_now();

	if (!deadline || deadline > now + longest)
		return longest;
	return deadline > now ? deadline - now : 1;
}

/* The folder of the checkpoint; "" without one.  In the arena. */
static int find_checkpoint(const struct task *t, const struct task_new *n, struct arena *a,
			   const char **ret, struct err *e)
{
	*ret = n->checkpoint ?: "";
	if (!n->unpack)
		return 0;
	*ret = arena_printf(a, "%s/checkpoint", t->work);
	if (mkdir(*ret, 0700) < 0)
		return err_sys(e, errno, "mkdir %s", *ret);
	if (n->unpack(*ret, n->unpack_arg, e) < 0)
		return err_wrap(e, "failed to unpack the checkpoint");
	return 0;
}

static int call_create(struct task *t, const struct task_new *n, const char *checkpoint,
		       uint32_t *ret_pid, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	Containerd__Task__V3__CreateTaskRequest req =
		CONTAINERD__TASK__V3__CREATE_TASK_REQUEST__INIT;
	Containerd__Task__V3__CreateTaskResponse *rsp = NULL;
	Google__Protobuf__Any options;

	req.id = t->id;
	req.bundle = t->bundle;
	req.checkpoint = (char *)checkpoint;
	req.n_rootfs = n->rootfs.n;
	req.rootfs = task_mounts_to(&n->rootfs, a);
	req.terminal = n->io.terminal;
	req.stdin = (char *)(n->io.in ?: "");
	req.stdout = (char *)(n->io.out ?: "");
	req.stderr = (char *)(n->io.err ?: "");
	if (n->options.type_url && n->options.n) {
		task_any_to(&n->options, &options);
		req.options = &options;
	}
	if (task_call(t, "Create", task_time_left(t, n->deadline), &req,
		      &containerd__task__v3__create_task_response__descriptor, &rsp, e) < 0)
		return err_wrap(e, "failed to create shim task");
	*ret_pid = rsp->pid;
	containerd__task__v3__create_task_response__free_unpacked(rsp, NULL);
	return 0;
}

static void set_conn(struct task *t, struct conn *c)
{
	pthread_mutex_lock(&t->lock);
	t->conn = c;
	pthread_mutex_unlock(&t->lock);
}

int task_start_shim(struct task *t, const struct any *options, struct err *e)
{
	struct bootstrap b;
	struct conn *c = NULL;

	TRACE_STEP("start of the shim");
	t->log = shim_log_open(t, e);
	if (!t->log ||
	    bundle_write(t, "shim-binary-path", t->shim_path, strlen(t->shim_path), e) < 0)
		return -1;
	if (shim_start(t, options, &b, e) < 0 || bundle_save_bootstrap(t, &b, e) < 0)
		return -1;
	if (conn_open(t, &b, TASK_DIAL_NS, &c, e) < 0)
		return err_wrap(e, "failed to start shim");
	set_conn(t, c);
	return 0;
}

/* The shim is there: a sandbox's.  What the bundle says of it serves the next daemon. */
static int join_sandbox(struct task *t, const struct task_new *n, struct err *e)
{
	struct bootstrap b;
	struct conn *c = NULL;

	t->is_sandboxed = true;
	if (n->sandbox_address) {
		b.version = (int)n->sandbox_version;
		if (snprintf(b.address, sizeof b.address, "%s", n->sandbox_address) >=
		    (int)sizeof b.address)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "the address of sandbox %s is too long", n->sandbox);
	} else if (tasks_endpoint(n->sandboxes, n->ns, n->sandbox, &b) < 0 &&
		   tasks_endpoint(t->ts, n->ns, n->sandbox, &b) < 0) {
		return err_set(e, ERR_NOT_FOUND, "can't find shim for sandbox %s", n->sandbox);
	}
	if (bundle_write(t, "shim-binary-path", t->shim_path, strlen(t->shim_path), e) < 0 ||
	    bundle_write(t, "sandbox", n->sandbox, strlen(n->sandbox), e) < 0 ||
	    bundle_save_bootstrap(t, &b, e) < 0)
		return -1;
	if (conn_open(t, &b, TASK_DIAL_NS, &c, e) < 0)
		return err_wrap(e, "failed to load sandbox task \"%s\"", n->sandbox);
	set_conn(t, c);
	return 0;
}

static int get_shim(struct task *t, const struct task_new *n, struct err *e)
{
	if (!n->sandbox || !*n->sandbox)
		return task_start_shim(t, &n->options, e);
	if (join_sandbox(t, n, e) < 0)
		return err_wrap(e, "failed to start shim");
	return 0;
}

/* A shim that was started is told to go, then made to.  The first failure is the caller's. */
bool task_undo_shim(struct task *t)
{
	Containerd__Task__V3__ShutdownRequest down = CONTAINERD__TASK__V3__SHUTDOWN_REQUEST__INIT;
	struct task_exit x;
	struct err e = { 0 };

	if (t->is_sandboxed && !t->conn)
		return true; /* it was never joined */
	down.id = t->id;
	if (!t->is_sandboxed &&
	    task_call(t, "Shutdown", t->ts->env->timeouts.shutdown, &down, NULL, NULL, &e) < 0)
		log_debug(LOG({ "id", t->id }, { "error", e.msg }), "shutdown of the shim failed");
	if (e.code == ERR_DEADLINE_EXCEEDED)
		task_kill_wedged(t);
	err_clear(&e);
	if (shim_delete(t, &x, &e) == 0)
		return true;
	log_warn(LOG({ "id", t->id }, { "error", e.msg }), "failed to clean up the shim");
	return false;
}

static int make_bundle(struct task *t, const struct task_new *n, struct err *e)
{
	TRACE_STEP("bundle");

	return bundle_make(t, &n->spec, e);
}

static int create_steps(struct task *t, const struct task_new *n, uint32_t *ret_pid,
			bool *ret_is_clean, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *checkpoint;

	if (make_bundle(t, n, e) < 0 || find_checkpoint(t, n, a, &checkpoint, e) < 0)
		return -1;
	(void)remains_note_fifos(t, "", &n->io); /* without, who made them removes them */
	int r = get_shim(t, n, e) < 0 ? -1 : call_create(t, n, checkpoint, ret_pid, e);

	shim_start_end(t);
	if (r < 0)
		*ret_is_clean = task_undo_shim(t);
	return r;
}

/* A shim that died before this was nobody's business then; now it is ours. */
void task_alive(struct task *t)
{
	struct conn *c;
	struct err e = { 0 };

	(void)task_set_phase(t, PHASE_ALIVE); /* from STARTING: always allowed */
	c = task_conn(t, &e);
	if (c && ttrpc_client_is_lost(c->client))
		task_lost(t);
	else if (c)
		task_watch(t);
	conn_unref(c);
}

int task_create(struct tasks *ts, const struct task_new *n, uint32_t *ret_pid, struct err *e)
{
	AUTO_FREE char *shim = NULL;

	if (!ident_is_valid(n->id)) /* it becomes a path */
		return err_set(e, ERR_INVALID_ARGUMENT, "identifier \"%.80s\" is not valid", n->id);
	if (runtime_to_shim(n->runtime_path ?: n->runtime, ts->env->self, &shim, e) < 0)
		return err_wrap(e, "failed to start shim");
	AUTO_TASK struct task *t = task_new(ts, n->ns, n->id);

	t->shim_path = TAKE_PTR(shim);
	if (tasks_add(ts, t, e) < 0)
		return -1;
	bool is_clean = true;

	if (create_steps(t, n, ret_pid, &is_clean, e) < 0) {
		remains_forget_fifos(t, "");
		task_bury(t, &(struct task_exit){ 0 }, is_clean); /* nobody waits for it yet */
		return -1;
	}
	task_note_io(t, &n->io);
	task_note_status(t, TASK_CREATED, *ret_pid);
	task_alive(t);
	return 0;
}
