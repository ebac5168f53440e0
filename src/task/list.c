/* The states of all tasks.  Most are known (watch.c); the other shims are asked at once, and one
 * that hangs costs the list half a second. */
#include "task/internal.h"

#include <string.h>

/* One list in progress: all shims are asked at once, the lister waits for the last answer. */
struct asked {
	struct task *t;
	struct listing *listing;
	bool is_gone;
};

struct listing {
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t open;
};

static const Containerd__Task__V3__StateRequest state_init =
	CONTAINERD__TASK__V3__STATE_REQUEST__INIT;

static bool note_answer(struct task *t, const uint8_t *payload, size_t n)
{
	Containerd__Task__V3__StateResponse *r =
		containerd__task__v3__state_response__unpack(NULL, n, payload);

	if (!r)
		return false;
	task_note_state(t, r);
	containerd__task__v3__state_response__free_unpacked(r, NULL);
	return true;
}

static void set_slow(struct task *t, bool is_slow)
{
	pthread_mutex_lock(&t->lock);
	t->is_slow = is_slow;
	pthread_mutex_unlock(&t->lock);
}

/* Loop thread. */
static void probe_done(const struct err *e, const uint8_t *payload, size_t n, void *arg)
{
	struct task *t = arg;

	if (!e)
		(void)note_answer(t, payload, n); /* a wrong answer is an answer */
	set_slow(t, false);
	task_unref(t);
}

static uint32_t ask(struct task *t, struct conn *c, uint64_t timeout, ttrpc_done_fn *done,
		    void *arg)
{
	const struct ttrpc_target to = {
		.service = c->service, .method = "State", .ns = t->ns, .timeout = timeout
	};
	Containerd__Task__V3__StateRequest req = state_init;

	req.id = t->id;
	return ttrpc_client_call(c->client, &to, &req.base, done, arg);
}

/* Quarantine: lists show what was last known until this answer comes, or its minute is over. */
void task_probe(struct task *t)
{
	struct err e = { 0 };
	struct conn *c = task_conn(t, &e);

	if (!c)
		return;
	set_slow(t, true);
	ask(t, c, 60 * SECOND, probe_done, task_ref(t));
	conn_unref(c);
}

/* Loop thread. */
static void list_done(const struct err *e, const uint8_t *payload, size_t n, void *arg)
{
	struct asked *q = arg;
	struct listing *l = q->listing;

	if (!e)
		(void)note_answer(q->t, payload, n);
	else if (e->code == ERR_DEADLINE_EXCEEDED)
		task_probe(q->t);
	else if (e->code == ERR_NOT_FOUND)
		q->is_gone = true;
	pthread_mutex_lock(&l->lock);
	if (!--l->open)
		pthread_cond_signal(&l->done);
	pthread_mutex_unlock(&l->lock);
}

/* Under t->lock. */
static bool is_known(const struct task *t)
{
	return t->watch || t->last.status == TASK_STOPPED;
}

static void ask_all(struct listing *l, struct asked *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct task *t = v[i].t;
		struct conn *c = NULL;

		pthread_mutex_lock(&t->lock);
		if (t->phase == PHASE_STARTING || t->phase == PHASE_GONE)
			v[i].is_gone = true;
		else if (t->conn && !t->is_slow && !is_known(t))
			c = conn_ref(t->conn);
		pthread_mutex_unlock(&t->lock);
		if (!c)
			continue;
		pthread_mutex_lock(&l->lock);
		l->open++;
		pthread_mutex_unlock(&l->lock);
		ask(t, c, TASK_LIST_NS, list_done, &v[i]);
		conn_unref(c);
	}
	pthread_mutex_lock(&l->lock);
	while (l->open)
		pthread_cond_wait(&l->done, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void copy_last(struct task *t, struct arena *a, struct task_state *ret)
{
	pthread_mutex_lock(&t->lock);
	*ret = t->last;
	ret->in = arena_strdup(a, t->in ?: "");
	ret->out = arena_strdup(a, t->out ?: "");
	ret->err = arena_strdup(a, t->err ?: "");
	pthread_mutex_unlock(&t->lock);
	ret->container_id = arena_strdup(a, t->id);
	ret->exec_id = "";
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct task_state *)a)->container_id,
		      ((const struct task_state *)b)->container_id);
}

int task_list(struct tasks *ts, const char *ns, struct arena *a, struct task_state **ret,
	      size_t *ret_n, struct err *e)
{
	struct listing l = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
	struct task **tasks;
	size_t n = tasks_of(ts, ns, a, &tasks);
	struct asked *v = arena_array(a, n + 1, sizeof *v);

	(void)e; /* nothing of this can fail: what does not answer is shown as last seen */
	for (size_t i = 0; i < n; i++)
		v[i] = (struct asked){ .t = tasks[i], .listing = &l };
	ask_all(&l, v, n);
	*ret = arena_array(a, n + 1, sizeof **ret);
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].is_gone)
			copy_last(v[i].t, a, &(*ret)[(*ret_n)++]);
		task_unref(v[i].t);
	}
	if (*ret_n)
		qsort(*ret, *ret_n, sizeof **ret, by_id);
	pthread_mutex_destroy(&l.lock);
	pthread_cond_destroy(&l.done);
	return 0;
}
