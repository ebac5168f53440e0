/* The table of tasks, their references, and the only writer of their phase. */
#include "task/internal.h"

#include <string.h>

static unsigned bucket_of(const char *ns, const char *id)
{
	unsigned h = 5381;

	for (; *ns; ns++)
		h = h * 33 + (unsigned char)*ns;
	for (h = h * 33; *id; id++)
		h = h * 33 + (unsigned char)*id;
	return h % TASK_BUCKETS;
}

struct tasks *tasks_new(const struct tasks_env *env)
{
	struct tasks *ts = NEW(struct tasks);

	ts->env = env;
	ts->folder = "io.containerd.runtime.v2.task";
	pthread_mutex_init(&ts->lock, NULL);
	pthread_cond_init(&ts->removed, NULL);
	return ts;
}

void tasks_close(struct tasks *ts)
{
	again_stop(ts);
	for (size_t i = 0; i < TASK_BUCKETS; i++)
		while (ts->buckets[i]) {
			struct task *t = ts->buckets[i];

			pthread_mutex_lock(&t->lock);
			struct conn *c = TAKE_PTR(t->conn);
			struct shim_log *log = TAKE_PTR(t->log);

			pthread_mutex_unlock(&t->lock);
			task_unwatch(t);
			/* the question how it ends holds the connection, too */
			if (c)
				ttrpc_client_cancel_all(c->client);
			conn_unref(c);
			shim_log_close(log);
			tasks_remove(ts, t);
		}
}

void tasks_free(struct tasks *ts)
{
	if (!ts)
		return;
	tasks_close(ts);
	again_free_all(ts);
	pthread_cond_destroy(&ts->removed);
	pthread_mutex_destroy(&ts->lock);
	free(ts);
}

struct task *task_new(struct tasks *ts, const char *ns, const char *id)
{
	struct task *t = NEW(struct task);

	t->refs = 1;
	t->starter = -1;
	t->ts = ts;
	t->ns = xstrdup(ns);
	t->id = xstrdup(id);
	t->bundle = xasprintf("%s/%s/%s/%s", ts->env->state, ts->folder, ns, id);
	t->work = xasprintf("%s/%s/%s/%s", ts->env->root, ts->folder, ns, id);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct task *task_ref(struct task *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void task_unref(struct task *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	free(t->ns);
	free(t->id);
	free(t->bundle);
	free(t->work);
	free(t->shim_path);
	free(t->socket);
	free(t->in);
	free(t->out);
	free(t->err);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const char *task_id(const struct task *t)
{
	return t->id;
}

const char *task_bundle(const struct task *t)
{
	return t->bundle;
}

/* With the registry's lock. */
static struct task *find(struct tasks *ts, const char *ns, const char *id)
{
	struct task *t = ts->buckets[bucket_of(ns, id)];

	while (t && (strcmp(t->id, id) != 0 || strcmp(t->ns, ns) != 0))
		t = t->next;
	return t;
}

int tasks_add(struct tasks *ts, struct task *t, struct err *e)
{
	struct task **head = &ts->buckets[bucket_of(t->ns, t->id)];

	pthread_mutex_lock(&ts->lock);
	struct task *is_taken = find(ts, t->ns, t->id);

	while (is_taken && is_taken->is_again) {
		pthread_cond_wait(&ts->removed, &ts->lock);
		is_taken = find(ts, t->ns, t->id);
	}
	if (!is_taken) {
		t->next = *head;
		*head = task_ref(t);
	}
	pthread_mutex_unlock(&ts->lock);
	if (is_taken && task_is_sandbox(t))
		return err_set(e, ERR_ALREADY_EXISTS, "sandbox %s already running", t->id);
	if (is_taken)
		return err_set(e, ERR_ALREADY_EXISTS, "task %s", t->id);
	return 0;
}

void tasks_remove(struct tasks *ts, struct task *t)
{
	bool was_there = false;

	pthread_mutex_lock(&ts->lock);
	struct task **at = &ts->buckets[bucket_of(t->ns, t->id)];

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at) {
		*at = t->next;
		was_there = true;
		pthread_cond_broadcast(&ts->removed);
	}
	pthread_mutex_unlock(&ts->lock);
	if (was_there)
		task_unref(t);
}

int task_get(struct tasks *ts, const char *ns, const char *id, struct task **ret, struct err *e)
{
	pthread_mutex_lock(&ts->lock);
	struct task *t = find(ts, ns, id);

	if (t)
		task_ref(t);
	pthread_mutex_unlock(&ts->lock);

	/* One that is still being made is not there yet. */
	if (t && (task_phase(t) == PHASE_STARTING || task_phase(t) == PHASE_GONE)) {
		task_unref(t);
		t = NULL;
	}
	if (!t)
		return err_set(e, ERR_NOT_FOUND, "%s %s not found",
			       ts->service ? "sandbox" : "task", id);
	*ret = t;
	return 0;
}

size_t tasks_of(struct tasks *ts, const char *ns, struct arena *a, struct task ***ret)
{
	size_t n = 0, cap = 0;
	struct task **v = NULL;

	pthread_mutex_lock(&ts->lock);
	for (size_t i = 0; i < TASK_BUCKETS; i++)
		for (struct task *t = ts->buckets[i]; t; t = t->next)
			if (!strcmp(t->ns, ns)) {
				GROW(v, n, cap);
				v[n++] = task_ref(t);
			}
	pthread_mutex_unlock(&ts->lock);
	*ret = n ? arena_memdup(a, v, n * sizeof *v) : NULL;
	free(v);
	return n;
}

enum task_phase task_phase(struct task *t)
{
	pthread_mutex_lock(&t->lock);
	enum task_phase phase = t->phase;

	pthread_mutex_unlock(&t->lock);
	return phase;
}

bool task_set_phase(struct task *t, enum task_phase to)
{
	static const unsigned allowed[] = {
		[PHASE_STARTING] = 1u << PHASE_ALIVE | 1u << PHASE_GONE,
		[PHASE_ALIVE] = 1u << PHASE_DELETING | 1u << PHASE_LOST,
		[PHASE_DELETING] = 1u << PHASE_ALIVE | 1u << PHASE_GONE,
		[PHASE_LOST] = 1u << PHASE_GONE,
		[PHASE_GONE] = 0,
	};
	struct conn *c = NULL;
	struct shim_log *log = NULL;

	pthread_mutex_lock(&t->lock);
	bool may = allowed[t->phase] & 1u << to;

	if (may) {
		t->phase = to;
		if (to == PHASE_GONE || to == PHASE_LOST)
			c = TAKE_PTR(t->conn);
		if (to == PHASE_GONE)
			log = TAKE_PTR(t->log);
	}
	pthread_mutex_unlock(&t->lock);
	conn_unref(c);
	shim_log_close(log);
	return may;
}

void task_note_status(struct task *t, enum task_status status, uint32_t pid)
{
	pthread_mutex_lock(&t->lock);
	if (t->last.status != TASK_STOPPED) /* an exit is final: late news does not undo it */
		t->last.status = status;
	if (pid)
		t->last.pid = pid;
	pthread_mutex_unlock(&t->lock);
}

void task_note_exit(struct task *t, const struct task_exit *x)
{
	pthread_mutex_lock(&t->lock);
	t->last.status = TASK_STOPPED;
	t->last.exit = *x;
	if (x->pid)
		t->last.pid = x->pid;
	pthread_mutex_unlock(&t->lock);
}

void task_note_io(struct task *t, const struct task_io *io)
{
	pthread_mutex_lock(&t->lock);
	free(t->in);
	free(t->out);
	free(t->err);
	t->last.in = t->in = xstrdup(io->in ?: "");
	t->last.out = t->out = xstrdup(io->out ?: "");
	t->last.err = t->err = xstrdup(io->err ?: "");
	t->last.terminal = io->terminal;
	pthread_mutex_unlock(&t->lock);
}
