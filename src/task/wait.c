/* Waits for the end of a process: parked without a thread, ended by the shim's answer, a cancel or
 * the clean-up, whichever is first. */
#include "task/internal.h"

#include <string.h>

static void wait_unref(struct task_wait *w)
{
	if (atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	task_unref(w->task);
	free(w->exec_id);
	FREE_SHARED(w);
}

static struct task_wait **place_of(struct tasks *ts, uint64_t id)
{
	struct task_wait **at = &ts->waits[id % TASK_BUCKETS];

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

uint64_t task_wait_new(struct task *t, const char *exec_id, task_wait_fn *fn, void *arg)
{
	struct tasks *ts = t->ts;
	struct task_wait *w = NEW(struct task_wait);

	w->refs = 1; /* the table's */
	w->task = task_ref(t);
	w->exec_id = xstrdup(exec_id ?: "");
	w->fn = fn;
	w->arg = arg;
	pthread_mutex_lock(&ts->lock);
	w->id = ++ts->last_wait;
	w->next = ts->waits[w->id % TASK_BUCKETS];
	ts->waits[w->id % TASK_BUCKETS] = w;
	uint64_t id = w->id; /* w may be cancelled from here on, but ends only after begin */

	pthread_mutex_unlock(&ts->lock);
	return id;
}

/* The one place where fn is called.  The caller holds a reference. */
static void complete(struct task_wait *w, const struct err *e, const struct task_exit *x)
{
	struct tasks *ts = w->task->ts;

	pthread_mutex_lock(&ts->lock);
	bool is_first = w->is_begun && !w->is_ended;

	if (is_first) {
		struct task_wait **at = place_of(ts, w->id);

		w->is_ended = true;
		*at = w->next;
	}
	pthread_mutex_unlock(&ts->lock);
	if (!is_first)
		return;
	w->fn(e, x, w->arg);
	wait_unref(w);
}

static void complete_cancelled(struct task_wait *w)
{
	struct err e = { 0 };

	err_set(&e, ERR_CANCELLED, "context canceled");
	complete(w, &e, NULL);
}

static void complete_gone(struct task_wait *w, const struct task_exit *x)
{
	struct err e = { 0 };

	if (x && !*w->exec_id) {
		complete(w, NULL, x);
		return;
	}
	err_set(&e, ERR_NOT_FOUND, "process %s of task %s is gone", w->exec_id, w->task->id);
	complete(w, &e, NULL);
}

/* A question that its shim has not answered yet.  However many wait for a process, and give up, the
 * shim is asked once: ttrpc has no word for giving up, so each question stays there till the end.
 */
struct task_question {
	struct task_question *next; /* of the task: tasks.lock */
	struct task *task;
	struct conn *conn;
	char *exec_id;
};

static void question_free(struct task_question *q)
{
	task_unref(q->task);
	conn_unref(q->conn);
	free(q->exec_id);
	free(q);
}

/* Takes it off the task, and those who wait for its answer with it: who comes later asks again. */
static struct task_wait **take_waits(struct task_question *q, size_t *ret_n)
{
	struct tasks *ts = q->task->ts;
	struct task_wait **v = NULL;
	size_t n = 0, cap = 0;

	pthread_mutex_lock(&ts->lock);
	for (struct task_question **at = &q->task->questions; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			break;
		}
	for (size_t i = 0; i < TASK_BUCKETS; i++)
		for (struct task_wait *w = ts->waits[i]; w; w = w->next)
			if (w->task == q->task && w->is_begun &&
			    strcmp(w->exec_id, q->exec_id) == 0) {
				atomic_fetch_add(&w->refs, 1);
				GROW(v, n, cap);
				v[n++] = w;
			}
	pthread_mutex_unlock(&ts->lock);
	*ret_n = n;
	return v;
}

/* Loop thread. */
static void on_answer(const struct err *e, const uint8_t *payload, size_t n, void *arg)
{
	struct task_question *q = arg;
	Containerd__Task__V3__WaitResponse *r = NULL;
	struct task_exit x = { 0 };
	struct err bad = { 0 };
	size_t n_waits;
	AUTO_FREE struct task_wait **waits = take_waits(q, &n_waits);
	/* Did the shim die, the clean-up knows how the process ended (task_waits_end). */
	bool is_lost = e && ttrpc_client_is_lost(q->conn->client);

	if (!e && !(r = containerd__task__v3__wait_response__unpack(NULL, n, payload))) {
		err_set(&bad, ERR_DATA_LOSS, "shim of %s: the answer is no WaitResponse",
			q->task->id);
		e = &bad;
	}
	if (r) {
		x = (struct task_exit){ 0, r->exit_status, task_time(r->exited_at) };
		containerd__task__v3__wait_response__free_unpacked(r, NULL);
		if (!*q->exec_id)
			task_note_exit(q->task, &x);
	}
	for (size_t i = 0; i < n_waits; i++) {
		if (!is_lost)
			complete(waits[i], e, e ? NULL : &x);
		wait_unref(waits[i]);
	}
	question_free(q);
}

static void send(struct task_question *q)
{
	Containerd__Task__V3__WaitRequest req = CONTAINERD__TASK__V3__WAIT_REQUEST__INIT;
	const struct ttrpc_target to = { .service = q->conn->service,
					 .method =
						 task_is_sandbox(q->task) ? "WaitSandbox" : "Wait",
					 .ns = q->task->ns };

	/* WaitSandbox has the same fields by number, and no exec id. */
	req.id = q->task->id;
	req.exec_id = q->exec_id;
	(void)ttrpc_client_call(q->conn->client, &to, &req.base, on_answer, q);
}

/* Unless somebody has asked the same on that connection. */
static void ask(struct task_wait *w, struct conn *c)
{
	struct task *t = w->task;
	struct task_question *q;

	pthread_mutex_lock(&t->ts->lock);
	for (q = t->questions; q; q = q->next)
		if (q->conn == c && strcmp(q->exec_id, w->exec_id) == 0)
			break;
	bool is_asked = q != NULL;

	if (!is_asked) {
		q = NEW(struct task_question);
		q->task = task_ref(t);
		q->conn = conn_ref(c);
		q->exec_id = xstrdup(w->exec_id);
		q->next = t->questions;
		t->questions = q;
	}
	pthread_mutex_unlock(&t->ts->lock);
	if (!is_asked)
		send(q);
}

void task_wait_begin(struct tasks *ts, uint64_t id)
{
	pthread_mutex_lock(&ts->lock);
	struct task_wait *w = *place_of(ts, id);

	if (!w)
		BUG("a wait was begun twice");
	atomic_fetch_add(&w->refs, 1);
	w->is_begun = true;
	bool is_cancelled = w->is_cancelled;

	pthread_mutex_unlock(&ts->lock);

	struct err e = { 0 };
	struct conn *c = is_cancelled ? NULL : task_conn(w->task, &e);

	if (is_cancelled)
		complete_cancelled(w);
	else if (task_phase(w->task) == PHASE_GONE)
		complete_gone(w, NULL);
	else if (c)
		ask(w, c);
	/* else LOST: task_waits_end() comes, and sees that it is begun */
	conn_unref(c);
	wait_unref(w);
}

void task_wait_cancel(struct tasks *ts, uint64_t id)
{
	pthread_mutex_lock(&ts->lock);
	struct task_wait *w = *place_of(ts, id);

	if (w) {
		atomic_fetch_add(&w->refs, 1);
		w->is_cancelled = true;
	}
	pthread_mutex_unlock(&ts->lock);
	if (!w)
		return;
	complete_cancelled(w); /* nothing when it is not begun: begin looks */
	wait_unref(w);
}

void task_waits_end(struct task *t, const struct task_exit *x)
{
	struct tasks *ts = t->ts;

	for (;;) {
		struct task_wait *w = NULL;

		pthread_mutex_lock(&ts->lock);
		for (size_t i = 0; i < TASK_BUCKETS && !w; i++)
			for (w = ts->waits[i]; w && (w->task != t || !w->is_begun); w = w->next)
				;
		if (w)
			atomic_fetch_add(&w->refs, 1);
		pthread_mutex_unlock(&ts->lock);
		if (!w)
			return;
		complete_gone(w, x);
		wait_unref(w);
	}
}
