/* After a start of the daemon: what the bundles on disk and the living shims say. */
#include "task/internal.h"

#include "base/ident.h"
#include "base/log.h"
#include "loop/pool.h"
#include "os/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct recovery {
	struct tasks *ts;
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t open, alive, dead;
};

struct recovery_job {
	struct recovery *r;
	struct task *t;
};

/* A shim without its task: the daemon before us ended between the two. */
static void shut_down(struct task *t)
{
	Containerd__Task__V3__ShutdownRequest req = CONTAINERD__TASK__V3__SHUTDOWN_REQUEST__INIT;
	struct err e = { 0 };

	req.id = t->id;
	if (task_call(t, "Shutdown", t->ts->env->timeouts.shutdown, &req, NULL, NULL, &e) < 0)
		log_debug(LOG({ "id", t->id }, { "error", e.msg }), "shutdown of the shim failed");
}

static void give_up(struct task *t, const char *why)
{
	struct task_exit x = { 0 };

	log_info(LOG({ "id", t->id }, { "namespace", t->ns }, { "reason", why }),
		 "cleaning up dead shim");
	/* Through LOST, as if it had just died. */
	(void)task_set_phase(t, PHASE_ALIVE);
	if (t->shim_path)
		task_lost(t);
	else {
		(void)task_set_phase(t, PHASE_DELETING);
		task_bury(t, &x, true);
	}
}

static int ask_state(struct task *t, struct err *e)
{
	Containerd__Task__V3__StateRequest req = CONTAINERD__TASK__V3__STATE_REQUEST__INIT;
	Containerd__Task__V3__StateResponse *rsp = NULL;

	req.id = t->id;
	if (task_call(t, "State", t->ts->env->timeouts.load, &req,
		      &containerd__task__v3__state_response__descriptor, (void *)&rsp, e) < 0)
		return -1;
	task_note_state(t, rsp);
	containerd__task__v3__state_response__free_unpacked(rsp, NULL);
	return 0;
}

/* True when the shim lives (or may live: one that is stuck is left alone). */
static bool load(struct task *t)
{
	struct bootstrap b;
	struct conn *c = NULL;
	struct err e = { 0 };

	AUTO_FREE char *sandbox = bundle_read(t, "sandbox");

	t->shim_path = bundle_read(t, "shim-binary-path");
	t->is_sandboxed = sandbox;
	if (!t->shim_path &&
	    runtime_to_shim("io.containerd.runc.v2", t->ts->env->self, &t->shim_path, &e) < 0)
		err_clear(&e); /* then there is nobody to clean up but us */
	if (bundle_load_bootstrap(t, &b, &e) < 0 ||
	    conn_open(t, &b, t->ts->env->timeouts.load, &c, &e) < 0) {
		give_up(t, e.msg);
		return false;
	}
	pthread_mutex_lock(&t->lock);
	t->conn = c;
	pthread_mutex_unlock(&t->lock);
	t->log = shim_log_open(t, &e);
	if (!t->log) {
		log_warn(LOG({ "id", t->id }, { "error", e.msg }), "the shim's log is lost");
		err_clear(&e);
	}
	if ((task_is_sandbox(t) ? sandbox_ask : ask_state)(t, &e) < 0 &&
	    e.code != ERR_DEADLINE_EXCEEDED) {
		if (e.code == ERR_NOT_FOUND && !t->is_sandboxed && !task_is_sandbox(t))
			shut_down(t);
		give_up(t, e.msg);
		return false;
	}
	if (e.code) {
		log_warn(LOG({ "id", t->id }, { "namespace", t->ns }, { "error", e.msg }),
			 "the shim does not answer; its task is kept with unknown status");
		if (!task_is_sandbox(t))
			task_probe(t);
	}
	task_alive(t);
	return true;
}

static void load_job(void *arg)
{
	struct recovery_job *j = arg;
	struct recovery *r = j->r;
	bool is_alive = load(j->t);

	task_unref(j->t);
	free(j);
	pthread_mutex_lock(&r->lock);
	is_alive ? r->alive++ : r->dead++;
	if (!--r->open)
		pthread_cond_signal(&r->done);
	pthread_mutex_unlock(&r->lock);
}

static void begin(struct recovery *r, const char *ns, const char *id)
{
	struct recovery_job *j = NEW(struct recovery_job);
	struct err e = { 0 };

	j->r = r;
	j->t = task_new(r->ts, ns, id);
	if (tasks_add(r->ts, j->t, &e) < 0)
		BUG("one folder was seen twice");
	pthread_mutex_lock(&r->lock);
	r->open++;
	pthread_mutex_unlock(&r->lock);
	pool_run(r->ts->env->pool, load_job, j);
}

static int walk(struct recovery *r, const char *path, const char *ns, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	int got = dir_names(AT_FDCWD, path, &names);

	if (got < 0 && got != -ENOENT)
		return err_sys(e, -got, "open %s", path);
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *below = xasprintf("%s/%s", path, names.v[i]);

		if (!ident_is_valid(names.v[i]))
			continue;
		if (ns)
			begin(r, ns, names.v[i]);
		else if (walk(r, below, names.v[i], e) < 0)
			return -1;
	}
	return 0;
}

int tasks_recover(struct tasks *ts, struct err *e)
{
	struct recovery r = { .ts = ts,
			      .lock = PTHREAD_MUTEX_INITIALIZER,
			      .done = PTHREAD_COND_INITIALIZER };
	AUTO_FREE char *top = xasprintf("%s/%s", ts->env->state, ts->folder);
	int result = walk(&r, top, NULL, e);

	pthread_mutex_lock(&r.lock);
	while (r.open)
		pthread_cond_wait(&r.done, &r.lock);
	pthread_mutex_unlock(&r.lock);
	pthread_mutex_destroy(&r.lock);
	pthread_cond_destroy(&r.done);
	if (result == 0)
		sweep_works(ts);
	if (r.alive || r.dead)
		log_info(LOG_NONE, "recovered %zu %s, cleaned up %zu", r.alive,
			 ts->service ? "sandboxes" : "tasks", r.dead);
	return result;
}
