#include "engine/collector.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <pthread.h>
#include <stdbool.h>

struct collector {
	struct store *store;
	struct loop *loop;
	struct pool *pool;
	struct loop_timer *timer; /* the loop's thread only */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t idle;
	gc_removed *report;
	void *report_arg;
	bool is_poked; /* a run is on its way: from poke to the start of the run */
	unsigned running; /* a poke during a run may bring a second one beside it */
	bool is_closing;
};

void collector_stop(struct collector *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_closing = true;
	pthread_mutex_unlock(&c->lock);
	loop_timer_remove(TAKE_PTR(c->timer));
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->is_closing = true;
	while (c->running)
		pthread_cond_wait(&c->idle, &c->lock);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->idle);
	free(c);
}

void collector_set_report(struct collector *c, gc_removed *report, void *arg)
{
	/* A run may have begun already: what a crash left is garbage from the start. */
	pthread_mutex_lock(&c->lock);
	c->report = report;
	c->report_arg = arg;
	pthread_mutex_unlock(&c->lock);
}

int collector_run(struct collector *c, struct err *e)
{
	struct gc_stats stats;

	pthread_mutex_lock(&c->lock);
	gc_removed *report = c->report;
	void *arg = c->report_arg;

	pthread_mutex_unlock(&c->lock);
	int r = gc_run(c->store, report, arg, &stats, e);

	if (r == 0 && stats.removed + stats.blobs + stats.directories > 0)
		log_debug(LOG_NONE, "garbage collected: %zu records, %zu blobs, %zu directories",
			  stats.removed, stats.blobs, stats.directories);
	return r;
}

static void run(void *arg)
{
	struct collector *c = arg;
	struct err e = { 0 };
	bool may_run;

	pthread_mutex_lock(&c->lock);
	c->is_poked = false;
	may_run = !c->is_closing;
	c->running += may_run;
	pthread_mutex_unlock(&c->lock);
	if (!may_run)
		return;
	if (gc_is_due(c->store) && collector_run(c, &e) < 0)
		log_warn(LOG({ "error", e.msg }), "garbage collection failed");
	pthread_mutex_lock(&c->lock);
	c->running--;
	pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct collector *c = arg;

	loop_timer_remove(t);
	c->timer = NULL;
	pool_run(c->pool, run, c);
}

static void arm(void *arg)
{
	struct collector *c = arg;

	pthread_mutex_lock(&c->lock);
	bool may_run = !c->is_closing;

	pthread_mutex_unlock(&c->lock);
	if (may_run)
		c->timer = loop_timer_add(c->loop, COLLECTOR_DELAY_NS, on_timer, c);
}

static void poke(void *arg)
{
	struct collector *c = arg;
	bool is_first;

	pthread_mutex_lock(&c->lock);
	is_first = !c->is_poked && !c->is_closing;
	c->is_poked = c->is_poked || is_first;
	pthread_mutex_unlock(&c->lock);
	if (is_first)
		loop_post(c->loop, arm, c);
}

struct collector *collector_new(struct store *s, struct loop *loop, struct pool *pool)
{
	struct collector *c = NEW(struct collector);

	c->store = s;
	c->loop = loop;
	c->pool = pool;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->idle, NULL);
	store_on_garbage(s, poke, c);
	if (gc_is_due(s))
		poke(c);
	return c;
}
