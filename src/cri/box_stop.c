/* StopContainer: the container's own signal, the time that it has, then SIGKILL.
 *
 * Whoever waits for that time is an entry of a list, not a thread: hundreds of containers may have
 * an hour each.  An entry is ended by the one that takes it off the list: the container's end, the
 * time's, or a cancel. */
#include "cri/private.h"
#include "loop/loop.h"
#include "loop/pool.h"

#include <string.h>

#define RUNNING RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING
#define S_NS 1000000000ull

struct stop {
	struct stop *next;
	struct box *box; /* a reference */
	uint64_t end; /* CLOCK_MONOTONIC ns */
	struct cri_waiter who;
};

static void finish(struct stop *s, struct err *e)
{
	if (e && e->code)
		(void)err_wrap(e, "failed to stop container \"%s\"", s->box->id);
	s->who.done(s->who.arg, e && e->code ? e : NULL);
	box_unref(s->box);
	free(s);
}

/* Those of a box, of a waiter, or (both NULL) whose time has come. */
static struct stop *take(struct cri *cri, const struct box *box, const void *arg)
{
	struct stop *taken = NULL;
	uint64_t now = loop_now();

	pthread_mutex_lock(&cri->lock);
	for (struct stop **at = &cri->stops; *at;) {
		struct stop *s = *at;

		if (box ? s->box != box : arg ? s->who.arg != arg : s->end > now) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		s->next = taken;
		taken = s;
	}
	pthread_mutex_unlock(&cri->lock);
	return taken;
}

void box_end_stops(struct box *box)
{
	for (struct stop *next, *s = take(box->pod->cri, box, NULL); s; s = next) {
		next = s->next;
		finish(s, NULL);
	}
}

void cri_stop_cancelled(struct cri *cri, void *arg)
{
	for (struct stop *next, *s = take(cri, NULL, arg); s; s = next) {
		struct err e = { 0 };

		next = s->next;
		(void)cancel_check(s->who.cancel, &e); /* the reason */
		finish(s, &e);
	}
}

/* --- the time's end --- */

static void kill_job(void *arg)
{
	struct stop *s = arg;
	struct err e = { 0 };

	(void)box_kill(s->box, &e); /* told to who waits */
	finish(s, &e);
}

static void look(void *arg);

static void on_time(UNUSED struct loop_timer *t, void *arg)
{
	look(arg);
}

/* The loop's thread. */
static void look(void *arg)
{
	struct cri *cri = arg;
	uint64_t first = UINT64_MAX, now = loop_now();

	for (struct stop *next, *s = take(cri, NULL, NULL); s; s = next) {
		next = s->next;
		pool_run(cri->en->pool, kill_job, s);
	}
	pthread_mutex_lock(&cri->lock);
	for (const struct stop *s = cri->stops; s && !cri->is_stopping; s = s->next)
		if (s->end < first)
			first = s->end;
	pthread_mutex_unlock(&cri->lock);
	loop_timer_remove(TAKE_PTR(cri->stop_timer));
	if (first != UINT64_MAX)
		cri->stop_timer =
			loop_timer_add(cri->en->loop, first > now ? first - now : 0, on_time, cri);
}

/* --- the call --- */

/* CRI_LATER, or, as cancels are told once, -1 when that was before; 0: it has ended. */
static int wait_later(struct box *box, int64_t timeout, const struct cri_waiter *who, struct err *e)
{
	struct cri *cri = box->pod->cri;
	struct stop *s = NEW(struct stop);
	int r = 0;

	/* a number of seconds that a clock can be set to: it is for ever anyway */
	*s = (struct stop){ .box = box,
			    .end = loop_now() +
				   (uint64_t)(timeout < INT32_MAX ? timeout : INT32_MAX) * S_NS,
			    .who = *who };
	pthread_mutex_lock(&cri->lock);
	if (box->state == RUNNING)
		r = cancel_check(who->cancel, e) < 0 ? -1 : CRI_LATER;
	if (r == CRI_LATER) {
		box->refs++;
		s->next = cri->stops;
		cri->stops = s;
	}
	pthread_mutex_unlock(&cri->lock);
	if (r == CRI_LATER)
		loop_post(cri->en->loop, look, cri);
	else
		free(s);
	return r;
}

/* Without the turn, which would hold up who removes the container by force meanwhile. */
int cri_stop_box(struct cri *cri, const char *id, int64_t timeout, const struct cri_waiter *who,
		 struct err *e)
{
	struct err none = { 0 };
	AUTO_BOX struct box *box = box_find(cri, id, &none);
	AUTO_TASK struct task *t = NULL;
	struct err gone = { 0 };
	int r;

	if (!box)
		return 0; /* it has stopped */
	if (timeout > 0 && task_get(cri->en->tasks, CRI_NAMESPACE, box->id, &t, &gone) == 0) {
		(void)task_kill(t, NULL, (uint32_t)box->stop_signal, false, &gone); /* ended */
		r = wait_later(box, timeout, who, e);
	} else
		r = box_kill(box, e);
	return r < 0 ? err_wrap(e, "failed to stop container \"%s\"", box->id) : r;
}
