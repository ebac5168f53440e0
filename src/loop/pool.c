#include "loop/pool.h"

#include "base/mem.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct job {
	pool_fn *fn;
	void *arg;
	struct job *next;
};

/* Invariant under lock: jobs wait only while threads == max or a woken idle thread is on its way
 * (idle counts sleeping threads that no job has been promised to). */
struct pool {
	unsigned max;
	uint64_t idle_ns;
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct job *jobs, **tail;
	unsigned threads, idle, queued;
	bool stopping;
};

struct pool *pool_new(unsigned max, uint64_t idle_ns)
{
	struct pool *p = NEW(struct pool);
	pthread_condattr_t attr;

	p->max = max;
	p->idle_ns = idle_ns;
	p->tail = &p->jobs;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &attr);
	pthread_cond_init(&p->ended, NULL);
	pthread_condattr_destroy(&attr);
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

/* The next job, or NULL when this thread shall end. Called and returns under lock. */
static struct job *next_job(struct pool *p)
{
	struct timespec until = after(p->idle_ns);
	bool late = false;

	while (!p->jobs) {
		if (p->stopping || late)
			return NULL;
		p->idle++;
		late = pthread_cond_timedwait(&p->work, &p->lock, &until) == ETIMEDOUT;
		p->idle--;
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
	malloc_trim(0);
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
	if (p->queued <= p->idle)
		pthread_cond_signal(&p->work);
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
	pthread_cond_broadcast(&p->work);
	while (p->threads)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
