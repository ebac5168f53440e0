#include "engine/collector.h"

#include "base/log.h"
#include "base/mem.h"
#include "image/verify.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <pthread.h>
#include <stdbool.h>

struct collector {
	struct store *store;
	const struct config_gc *settings;
	struct loop *loop;
	struct pool *pool;
	struct loop_timer *timer; /* the loop's thread only, as is the next */
	uint64_t timer_due;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t idle;
	gc_removed *report;
	void *report_arg;
	const struct verifier *verifier; /* or NULL */
	uint64_t deletions, mutations; /* since the last run began */
	uint64_t due; /* when a run is to begin; 0: none is */
	uint64_t ended; /* the last one; 0: there was none */
	uint64_t took, runs; /* in all, and how many */
	unsigned failures; /* in a row */
	unsigned running; /* a change during a run may bring a second one beside it */
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

void collector_set_verifier(struct collector *c, const struct verifier *v)
{
	pthread_mutex_lock(&c->lock);
	c->verifier = v;
	pthread_mutex_unlock(&c->lock);
}

int collector_run(struct collector *c, struct err *e)
{
	struct gc_stats stats;

	pthread_mutex_lock(&c->lock);
	gc_removed *report = c->report;
	void *arg = c->report_arg;
	const struct verifier *v = c->verifier;

	pthread_mutex_unlock(&c->lock);
	int r = gc_run(c->store, report, arg, &stats, e);

	if (r == 0 && v)
		verifier_sweep(v, c->store);
	if (r == 0 && stats.removed + stats.blobs + stats.directories > 0)
		log_debug(LOG_NONE, "garbage collected: %zu records, %zu blobs, %zu directories",
			  stats.removed, stats.blobs, stats.directories);
	return r;
}

/* The pause that makes runs take no more than their share of the time. */
static uint64_t pause_of(const struct collector *c)
{
	enum { SHORTEST_NS = 5000000, FIRST_NS = 1000000000, DOUBLINGS = 8 };
	double share = c->settings->pause_threshold;
	double mean = c->runs ? (double)c->took / (double)c->runs : 0;
	uint64_t pause = FIRST_NS;

	if (mean < SHORTEST_NS)
		mean = SHORTEST_NS;
	if (c->runs && share > 0)
		pause = (uint64_t)(mean / share - mean);
	/* A disk that is full stays so for a while. */
	return pause << (c->failures < DOUBLINGS ? c->failures : DOUBLINGS);
}

/* With the lock held: when the next run is to begin by what is known now; 0: nothing calls for one.
 */
static uint64_t when(const struct collector *c, uint64_t now)
{
	const struct config_gc *s = c->settings;
	uint64_t soon = now + s->schedule_delay, calm = c->ended ? c->ended + pause_of(c) : soon;

	if (s->deletion_threshold && c->deletions >= s->deletion_threshold && !c->failures)
		return soon;
	if (c->deletions || (s->mutation_threshold && c->mutations >= s->mutation_threshold))
		return calm > soon ? calm : soon;
	return 0;
}

static void arm(void *arg);

/* With the lock held: a run at that time, unless an earlier one is on its way. */
static void schedule(struct collector *c, uint64_t at)
{
	if (!at || c->is_closing || (c->due && c->due <= at))
		return;
	c->due = at;
	loop_post(c->loop, arm, c);
}

static void run(void *arg)
{
	struct collector *c = arg;
	struct err e = { 0 };

	pthread_mutex_lock(&c->lock);
	bool may_run = !c->is_closing;
	c->due = c->deletions = c->mutations = 0;
	c->running += may_run;
	pthread_mutex_unlock(&c->lock);
	if (!may_run)
		return;

	uint64_t began = loop_now();
	int r = collector_run(c, &e);

	if (r < 0)
		log_warn(LOG({ "error", e.msg }), "garbage collection failed");
	pthread_mutex_lock(&c->lock);
	c->ended = loop_now();
	c->took += c->ended - began;
	c->runs++;
	c->failures = r < 0 ? c->failures + 1 : 0;
	c->deletions += r < 0; /* what it would have taken is there still */
	schedule(c, when(c, c->ended));
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

/* On the loop's thread. */
static void arm(void *arg)
{
	struct collector *c = arg;

	pthread_mutex_lock(&c->lock);
	uint64_t due = c->is_closing ? 0 : c->due;

	pthread_mutex_unlock(&c->lock);
	if (!due || (c->timer && c->timer_due <= due))
		return;
	uint64_t now = loop_now();

	loop_timer_remove(c->timer);
	c->timer_due = due;
	c->timer = loop_timer_add(c->loop, due > now ? due - now : 0, on_timer, c);
}

static void on_change(void *arg, bool is_garbage)
{
	struct collector *c = arg;

	pthread_mutex_lock(&c->lock);
	c->deletions += is_garbage;
	c->mutations += !is_garbage;
	schedule(c, when(c, loop_now()));
	pthread_mutex_unlock(&c->lock);
}

struct collector *collector_new(struct store *s, const struct config_gc *settings,
				struct loop *loop, struct pool *pool)
{
	struct collector *c = NEW(struct collector);

	c->store = s;
	c->settings = settings;
	c->loop = loop;
	c->pool = pool;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->idle, NULL);
	store_on_change(s, on_change, c);
	pthread_mutex_lock(&c->lock);
	if (settings->startup_delay)
		schedule(c, loop_now() + settings->startup_delay);
	pthread_mutex_unlock(&c->lock);
	return c;
}
