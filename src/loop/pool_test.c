#include "loop/pool.h"

#include "base/test.h"
#include "loop/cancel.h"
#include "loop/loop.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned in, open;
};

static void pass(void *arg)
{
	struct gate *g = arg;

	pthread_mutex_lock(&g->lock);
	g->in++;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void wait_in(struct gate *g, unsigned n)
{
	pthread_mutex_lock(&g->lock);
	while (g->in < n)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = 1;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

#define GATE                                                              \
	{                                                                 \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 \
	}

TEST(grows_to_max_and_queues_beyond)
{
	struct gate g = GATE;
	struct pool *p = pool_new(3, 1000000000);

	CHECK(pool_threads(p) == 0);
	for (int i = 0; i < 5; i++)
		pool_run(p, pass, &g);
	wait_in(&g, 3);
	CHECK(pool_threads(p) == 3 && g.in == 3);
	open_gate(&g);
	wait_in(&g, 5);
	pool_free(p);
}

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

TEST(runs_all_before_free_and_reuses_threads)
{
	struct pool *p = pool_new(POOL_MAX, 1000000000);
	atomic_int n = 0;

	for (int i = 0; i < 1000; i++)
		pool_run(p, count, &n);
	CHECK(pool_threads(p) <= POOL_MAX);
	pool_free(p);
	CHECK(n == 1000);
}

TEST(idle_threads_end)
{
	struct pool *p = pool_new(4, 10000000);
	atomic_int n = 0;

	pool_run(p, count, &n);
	for (int i = 0; i < 200 && pool_threads(p); i++)
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	CHECK(n == 1 && pool_threads(p) == 0);
	pool_run(p, count, &n);
	pool_free(p);
	CHECK(n == 2);
}

TEST(a_burst_s_threads_end_under_steady_work)
{
	struct gate g = GATE;
	struct pool *p = pool_new(8, 50000000);
	atomic_int n = 0;

	for (int i = 0; i < 8; i++)
		pool_run(p, pass, &g);
	wait_in(&g, 8);
	open_gate(&g);
	/* Far more often than their idle time, and never more than one at once. */
	for (int i = 0; i < 1000 && pool_threads(p) > 2; i++) {
		pool_run(p, count, &n);
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	}
	CHECK(pool_threads(p) <= 2);
	pool_free(p);
}

TEST(cancel_keeps_the_first_reason)
{
	struct cancel c;
	struct err e = { 0 };

	cancel_init(&c);
	CHECK(!cancel_is_set(&c) && cancel_check(&c, &e) == 0 && !cancel_is_set(NULL));
	CHECK_FAIL(cancel_poll(&c, -1, 0, loop_now() + 1000000, &e), &e, ERR_DEADLINE_EXCEEDED);
	cancel_set(&c, ERR_CANCELLED);
	cancel_set(&c, ERR_DEADLINE_EXCEEDED);
	err_clear(&e);
	CHECK_FAIL(cancel_check(&c, &e), &e, ERR_CANCELLED);
	CHECK_STR(e.msg, "context canceled");
	struct pollfd p = { .fd = cancel_fd(&c), .events = POLLIN };
	CHECK(poll(&p, 1, 0) == 1);
	err_clear(&e);
	CHECK_FAIL(cancel_poll(&c, -1, 0, 0, &e), &e, ERR_CANCELLED);
	cancel_done(&c);
}

static void set_later(void *arg)
{
	nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	cancel_set(arg, ERR_CANCELLED);
}

TEST(cancel_wakes_a_poller)
{
	struct pool *p = pool_new(1, 1000000);
	struct cancel c;
	struct err e = { 0 };

	cancel_init(&c);
	pool_run(p, set_later, &c);
	CHECK_FAIL(cancel_poll(&c, -1, 0, 0, &e), &e, ERR_CANCELLED);
	pool_free(p);
	cancel_done(&c);
}
