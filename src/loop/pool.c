#include "loop/pool.h"

#include "base/mem.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct job {
	pool_fn *fn;
	void *arg;
	struct job *next;
};

/* A thread that has nothing to do; lies on that thread's stack. */
struct idler {
	pthread_cond_t work;
	bool is_called;
	struct idler *below;
};

/* Invariant under lock: jobs wait only while threads == max or a called thread is on its way.
 * Idle threads are a stack: the one that slept last is called first, so those that a burst brought
 * reach their time and end, however steady the work is after it. */
struct pool {
	unsigned max;
	uint64_t idle_ns;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct job *jobs, **tail;
	struct idler *idlers;
	unsigned threads, called, queued;
	bool stopping;
};

struct pool *pool_new(unsigned max, uint64_t idle_ns)
{
	struct pool *p = NEW(struct pool);

	p->max = max;
	p->idle_ns = idle_ns;
	p->tail = &p->jobs;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ended, NULL);
	return p;
}

static struct timespec after(uint64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns += (uint64_t)t.tv_nsec;
	t.tv_sec += (time_t)(ns / 1000000000u);
	t.tv_nsec = (long)(ns % 1000000000u);
	return t;
}

/* Under lock: wakes the thread that slept last. */
static void call_one(struct pool *p)
{
	struct idler *top = p->idlers;

	p->idlers = top->below;
	top->is_called = true;
	p->called++;
	pthread_cond_signal(&top->work);
}

/* Sleeps until it is called: true; or until its time is over: false.  Under lock. */
static bool be_idle(struct pool *p)
{
	struct timespec until = after(p->idle_ns);
	struct idler self = { .below = p->idlers };
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&self.work, &attr);
	pthread_condattr_destroy(&attr);
	p->idlers = &self;
	while (!self.is_called && pthread_cond_timedwait(&self.work, &p->lock, &until) != ETIMEDOUT)
		;
	if (self.is_called)
		p->called--;
	else
		for (struct idler **at = &p->idlers; *at; at = &(*at)->below)
			if (*at == &self) {
				*at = self.below;
				break;
			}
	pthread_cond_destroy(&self.work);
	return self.is_called;
}

/* The next job, or NULL when this thread shall end. Called and returns under lock. */
static struct job *next_job(struct pool *p)
{
	bool is_late = false;

	while (!p->jobs) {
		if (p->stopping || is_late)
			return NULL;
		is_late = !be_idle(p);
	}

	struct job *j = p->jobs;
	p->jobs = j->next;
	p->queued--;
	if (!p->jobs)
		p->tail = &p->jobs;
	return j;
}

/* Under lock, released meanwhile: what a burst of work took from the system goes back to it. */
static void give_back(struct pool *p)
{
	pthread_mutex_unlock(&p->lock);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	pthread_mutex_lock(&p->lock);
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	pthread_mutex_lock(&p->lock);
	do {
		while ((j = next_job(p))) {
			pthread_mutex_unlock(&p->lock);
			j->fn(j->arg);
			free(j);
			pthread_mutex_lock(&p->lock);
		}
		if (p->threads == 1 && !p->stopping)
			give_back(p);
	} while (p->jobs); /* came while the lock was free, and may count on this thread */
	if (--p->threads == 0)
		pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are the loop's (signalfd): workers block them all. Under lock. */
static bool add_thread(struct pool *p)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, POOL_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&thread, &attr, worker, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r == 0)
		p->threads++;
	return r == 0;
}

void pool_run(struct pool *p, pool_fn *fn, void *arg)
{
	struct job *j = NEW(struct job);

	*j = (struct job){ fn, arg, NULL };
	pthread_mutex_lock(&p->lock);
	*p->tail = j;
	p->tail = &j->next;
	p->queued++;
	if (p->queued <= p->called) {
		/* enough are on their way */
	} else if (p->idlers)
		call_one(p);
	else if (p->threads < p->max && !add_thread(p) && p->threads == 0)
		BUG("cannot start the first worker thread"); /* the job would wait for ever */
	pthread_mutex_unlock(&p->lock);
}

unsigned pool_threads(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	unsigned n = p->threads;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	while (p->idlers)
		call_one(p);
	while (p->threads)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
