/* The daemon's own wait for each init process.
 *
 * Its answer tells of an end even when the shim's event is lost, and so makes what we remember of a
 * task as good as what its shim would say: all other changes are ours.  A list asks nobody. */
#include "task/internal.h"

static void on_end(const struct err *e, const struct task_exit *x, void *arg)
{
	struct task *t = arg; /* wait.c has noted the exit */

	pthread_mutex_lock(&t->lock);
	t->watch = 0;
	pthread_mutex_unlock(&t->lock);
	if (task_is_sandbox(t) && x && !(e && e->code))
		sandbox_note_end(t, x);
	task_unref(t);
}

void task_watch(struct task *t)
{
	pthread_mutex_lock(&t->lock);
	bool is_wanted = !t->watch && t->conn && t->last.status != TASK_STOPPED &&
			 t->last.status != TASK_UNKNOWN;
	pthread_mutex_unlock(&t->lock);
	if (!is_wanted)
		return;

	uint64_t id = task_wait_new(t, NULL, on_end, task_ref(t));

	pthread_mutex_lock(&t->lock);
	t->watch = id;
	pthread_mutex_unlock(&t->lock);
	task_wait_begin(t->ts, id);
}

void task_unwatch(struct task *t)
{
	pthread_mutex_lock(&t->lock);
	uint64_t id = t->watch;
	pthread_mutex_unlock(&t->lock);
	if (id)
		task_wait_cancel(t->ts, id);
}
