#include "engine/restart.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/nri.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "store/container.h"
#include "store/namespace.h"

#include <pthread.h>
#include <string.h>

#define PREFIX "containerd.io/restart."
#define CRI_KIND "io.cri-containerd.kind"
enum { COUNT_TEXT = 16, SIGNAL_KILL = 9, KILL_WAIT_MS = 5000, KILL_STEP_MS = 20 };

struct restarter {
	struct engine *engine;
	uint64_t interval;
	struct loop_timer *timer; /* the loop's thread */
	pthread_mutex_t lock;
	bool is_closing;
};

/* --- what is wanted --- */

static const char *label_of(const struct labels *l, const char *name)
{
	AUTO_FREE char *key = xasprintf(PREFIX "%s", name);
	const char *v = labels_get(l, key);

	return v ? v : "";
}

bool restart_is_wanted(const struct labels *l, uint32_t exit_status)
{
	const char *policy = label_of(l, "policy"), *count = label_of(l, "count");
	const char *stopped = label_of(l, "explicitly-stopped");
	uint32_t max = 0, n = 0;

	if (!*policy || strcmp(policy, "always") == 0)
		return true;
	if (strcmp(policy, "unless-stopped") == 0)
		return strcmp(stopped, "true") != 0 && strcmp(stopped, "1") != 0;
	if (strncmp(policy, "on-failure", 10) != 0 || (policy[10] && policy[10] != ':'))
		return false; /* "no", and what nobody knows */
	if ((policy[10] && num_u32(policy + 11, &max) < 0) || (*count && num_u32(count, &n) < 0))
		return false;
	return exit_status != 0 && (max == 0 || n < max);
}

/* --- doing it --- */

static int set_count(const struct call *call, const struct container_record *c, uint32_t n,
		     struct err *e)
{
	static const char *const paths[] = { "labels." PREFIX "count" };
	const struct mask mask = { paths, 1 };
	struct container_record in = *c, out;
	struct labels l = { 0 };
	char text[COUNT_TEXT];

	snprintf(text, sizeof text, "%u", n);
	labels_set(call->arena, &l, PREFIX "count", text);
	in.labels = l;
	return container_update(call->engine->store, call->ns, call->arena, &in, &mask, &out, e);
}

/* Killed, waited for a moment, deleted. */
static int end_task(const struct call *call, struct task *t, struct err *e)
{
	struct task_exit x;
	struct err ignored = { 0 };

	(void)task_kill(t, NULL, SIGNAL_KILL, true, &ignored); /* it may have ended */
	for (int ms = 0;; ms += KILL_STEP_MS) {
		struct timespec step = { 0, KILL_STEP_MS * 1000000L };

		err_clear(e);
		if (engine_task_delete(call, t, NULL, &x, e) == 0 || e->code == ERR_NOT_FOUND) {
			err_clear(e);
			return 0;
		}
		if (e->code != ERR_FAILED_PRECONDITION || ms >= KILL_WAIT_MS)
			return -1;
		nanosleep(&step, NULL);
	}
}

static int start(const struct call *call, const struct container_record *c, struct err *e)
{
	const struct snapshot_at at = { .ns = call->ns, .snapshotter = c->snapshotter };
	const char *log = label_of(&c->labels, "loguri");
	struct task_new n = { .ns = call->ns,
			      .id = c->id,
			      .runtime = c->runtime_name,
			      .spec = c->spec,
			      .options = c->runtime_options,
			      .io = { "", log, log, false } };
	AUTO_TASK struct task *t = NULL;
	struct err ignored = { 0 };
	uint32_t pid;

	if (*c->snapshot_key && snapshot_mounts(call->engine->store, &at, call->arena,
						c->snapshot_key, &n.rootfs, e) < 0)
		return -1;
	if (engine_task_create(call, c, &n, &pid, e) < 0 ||
	    task_get(call->engine->tasks, call->ns, c->id, &t, e) < 0)
		return -1;
	if (engine_task_start(call, t, NULL, &pid, e) == 0)
		return 0;
	(void)end_task(call, t, &ignored); /* the start's failure is told */
	return -1;
}

static int restart(const struct call *call, const struct container_record *c, struct task *old,
		   struct err *e)
{
	bool is_forged;
	uint32_t n = 0;

	if (restart_image_commands(call, c->image, &is_forged, e) < 0)
		return -1;
	if (is_forged) {
		log_warn(LOG({ "id", c->id }, { "namespace", call->ns }, { "image", c->image }),
			 "not restarted: the image itself carries " PREFIX " labels");
		return 0;
	}
	if (*label_of(&c->labels, "count"))
		(void)num_u32(label_of(&c->labels, "count"), &n);
	if (set_count(call, c, n + 1, e) < 0 || (old && end_task(call, old, e) < 0))
		return -1;
	log_info(LOG({ "id", c->id }, { "namespace", call->ns }), "restarting container");
	return start(call, c, e);
}

/* Who made the container may be about to make its task: between the two there is a second call. */
static bool is_new(const struct container_record *c)
{
	enum { GRACE_S = 3 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - c->created.tv_sec >= 0 && now.tv_sec - c->created.tv_sec < GRACE_S;
}

static int reconcile(const struct call *call, const struct container_record *c, struct err *e)
{
	AUTO_TASK struct task *t = NULL;
	struct task_state state = { 0 };
	struct err absent = { 0 };
	const char *wanted = label_of(&c->labels, "status");

	if (task_get(call->engine->tasks, call->ns, c->id, &t, &absent) == 0 &&
	    task_state(t, NULL, call->arena, &state, e) < 0)
		return -1;
	if (strcmp(wanted, "stopped") == 0)
		return t && state.status != TASK_STOPPED ? end_task(call, t, e) : 0;
	if (strcmp(wanted, "running") != 0 || (t && state.status != TASK_STOPPED))
		return 0;
	if (!t && is_new(c))
		return 0;
	/* One without a task ended when nobody was there to see how. */
	return restart_is_wanted(&c->labels, t ? state.exit.status : 0) ? restart(call, c, t, e)
									: 0;
}

/* --- the rounds --- */

/* Copied out first: nothing is read from the database while a task starts. */
struct round {
	struct restarter *r;
	struct arena *arena;
	struct strv namespaces, ids;
};

static int note_namespace(const char *name, UNUSED const struct labels *l, void *arg,
			  UNUSED struct err *e)
{
	strv_add(&((struct round *)arg)->namespaces, name);
	return 0;
}

static int note_container(const struct container_record *c, void *arg, UNUSED struct err *e)
{
	/* Kubernetes' records are kubelet's to start and to stop, whoever wrote their labels */
	if (labels_get(&c->labels, PREFIX "status") && !labels_get(&c->labels, CRI_KIND))
		strv_add(&((struct round *)arg)->ids, c->id);
	return 0;
}

static bool is_closing(struct restarter *r)
{
	pthread_mutex_lock(&r->lock);
	bool v = r->is_closing;

	pthread_mutex_unlock(&r->lock);
	return v;
}

static void visit_container(struct round *round, const char *ns, const char *id)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct call call = { .engine = round->r->engine, .ns = ns, .arena = a };
	struct container_record c;
	struct err e = { 0 };

	if (container_get(call.engine->store, ns, a, id, &c, &e) == 0)
		(void)reconcile(&call, &c, &e);
	if (e.code)
		log_error(LOG({ "id", id }, { "namespace", ns }, { "error", e.msg }),
			  "restart monitor");
}

static void visit_namespace(struct round *round, const char *ns)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };

	round->ids = (struct strv){ 0 };
	if (container_list(round->r->engine->store, ns, a, note_container, round, &e) < 0)
		log_warn(LOG({ "namespace", ns }, { "error", e.msg }), "restart monitor");
	for (size_t i = 0; i < round->ids.n && !is_closing(round->r); i++)
		visit_container(round, ns, round->ids.v[i]);
	strv_done(&round->ids);
}

static void arm(void *arg);

static void run(void *arg)
{
	struct restarter *r = arg;
	struct round round = { .r = r };
	struct err e = { 0 };

	if (is_closing(r))
		return;
	if (namespace_list(r->engine->store, note_namespace, &round, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "restart monitor");
	for (size_t i = 0; i < round.namespaces.n; i++)
		visit_namespace(&round, round.namespaces.v[i]);
	strv_done(&round.namespaces);
	if (!is_closing(r))
		loop_post(r->engine->loop, arm, r);
}

static void on_time(struct loop_timer *t, void *arg)
{
	struct restarter *r = arg;

	loop_timer_remove(t);
	r->timer = NULL;
	pool_run(r->engine->pool, run, r);
}

static void arm(void *arg)
{
	struct restarter *r = arg;

	if (!is_closing(r))
		r->timer = loop_timer_add(r->engine->loop, r->interval, on_time, r);
}

struct restarter *restarter_new(struct engine *en)
{
	struct restarter *r = NEW(struct restarter);

	r->engine = en;
	r->interval = en->cfg->restart_interval;
	pthread_mutex_init(&r->lock, NULL);
	loop_post(en->loop, arm, r);
	return r;
}

void restarter_stop(struct restarter *r)
{
	pthread_mutex_lock(&r->lock);
	r->is_closing = true;
	pthread_mutex_unlock(&r->lock);
	loop_timer_remove(TAKE_PTR(r->timer));
}

void restarter_free(struct restarter *r)
{
	if (!r)
		return;
	loop_timer_remove(r->timer);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
