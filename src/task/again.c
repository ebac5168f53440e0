/* What a shim's delete verb could not do is tried again, after longer and longer pauses, as long as
 * the bundle is there. */
#include "task/internal.h"

#include "base/log.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <errno.h>
#include <unistd.h>

#define FIRST_NS (2 * SECOND)
#define LONGEST_NS (600 * SECOND)

/* On the loop's thread, but while a job has it. */
struct again {
	struct again *next, **at; /* in tasks.again */
	struct task *t; /* a new one: that which failed is gone for everybody */
	struct loop_timer *timer;
	uint64_t pause;
};

static void again_free(struct again *a)
{
	if (a->at) {
		*a->at = a->next;
		if (a->next)
			a->next->at = a->at;
	}
	loop_timer_remove(a->timer);
	task_unref(a->t);
	FREE_SHARED(a);
}

static void post_end(void *arg)
{
	again_free(arg);
}

static void on_due(struct loop_timer *timer, void *arg);

static void post_wait(void *arg)
{
	struct again *a = arg;
	struct tasks *ts = a->t->ts;

	if (!a->at) {
		a->next = ts->again;
		a->at = &ts->again;
		if (a->next)
			a->next->at = &a->next;
		ts->again = a;
	} else {
		a->pause = a->pause * 2 < LONGEST_NS ? a->pause * 2 : LONGEST_NS;
	}
	loop_timer_remove(TAKE_PTR(a->timer));
	if (!ts->is_closed) /* else the next daemon finds the bundle */
		a->timer = loop_timer_add(ts->env->loop, a->pause, on_due, a);
}

/* True when there is nothing more to do. */
static bool try_again(struct task *t)
{
	struct task_exit x;
	struct err e = { 0 };

	/* A new task of that name has cleaned up before it began. */
	if ((access(t->bundle, F_OK) < 0 && errno == ENOENT) || tasks_add(t->ts, t, &e) < 0)
		return true;
	bool is_clean = shim_delete(t, &x, &e) == 0;

	if (is_clean) {
		log_info(LOG({ "id", t->id }, { "namespace", t->ns }),
			 "cleaned up behind a dead shim");
		bundle_remove(t);
	} else {
		log_debug(LOG({ "id", t->id }, { "namespace", t->ns }, { "error", e.msg }),
			  "failed again to clean up");
	}
	tasks_remove(t->ts, t);
	return is_clean;
}

static void job(void *arg)
{
	struct again *a = arg;
	struct loop *l = a->t->ts->env->loop;

	loop_post(l, try_again(a->t) ? post_end : post_wait, a);
}

static void on_due(UNUSED struct loop_timer *timer, void *arg)
{
	struct again *a = arg;

	pool_run(a->t->ts->env->pool, job, a);
}

void again_note(struct task *t)
{
	struct again *a = NEW(struct again);

	if (!t->shim_path) { /* nobody to ask */
		free(a);
		return;
	}
	a->t = task_new(t->ts, t->ns, t->id);
	a->t->shim_path = xstrdup(t->shim_path);
	a->t->is_again = true;
	a->pause = FIRST_NS;
	loop_post(t->ts->env->loop, post_wait, a);
}

void again_stop(struct tasks *ts)
{
	ts->is_closed = true;
	for (struct again *a = ts->again; a; a = a->next)
		loop_timer_remove(TAKE_PTR(a->timer));
}

void again_free_all(struct tasks *ts)
{
	while (ts->again)
		again_free(ts->again);
}
