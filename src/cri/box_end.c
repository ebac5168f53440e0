/* The end of a container: by itself, by SIGKILL, by RemoveContainer. */
#include "base/log.h"
#include "cri/private.h"
#include "engine/nri.h"
#include "loop/loop.h"
#include "os/file.h"
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define EXITED RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED
#define RUNNING RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING
#define KILL_WAIT_NS 120000000000ull
#define LOST_WAIT_NS 2000000000ull

/* --- by itself --- */

void box_set_exited(struct box *box, int32_t code, const char *reason, const char *message,
		    int64_t at)
{
	struct cri *cri = box->pod->cri;

	pthread_mutex_lock(&cri->lock);
	bool was_running = box->state == RUNNING;

	box->state = EXITED;
	box->exit_code = code;
	box->finished = at;
	box->reason = reason;
	free(box->message);
	box->message = message ? xstrdup(message) : NULL;
	box->process = (struct process){ 0 };
	box->wait = 0;
	pthread_cond_broadcast(&cri->changed);
	pthread_mutex_unlock(&cri->lock);
	box_save_or_warn(box);
	if (was_running)
		cri_tell(cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STOPPED_EVENT, box->pod,
			 box->id);
	box_end_stops(box);
}

struct ended {
	struct box *box;
	struct task_exit exit;
	struct err why; /* it is not known how it ended */
};

static const char *reason_of(struct box *box, uint32_t status)
{
	struct cri *cri = box->pod->cri;

	cri_drain_oom(cri);
	pthread_mutex_lock(&cri->lock);
	bool is_oom = box->is_oom;

	pthread_mutex_unlock(&cri->lock);
	return is_oom && status == 128 + SIGKILL ? "OOMKilled" : status ? "Error" : "Completed";
}

static void ended_job(void *arg)
{
	struct ended *w = arg;
	struct box *box = w->box;
	AUTO_ARENA struct arena *a = arena_new();
	const struct call call = cri_call(box->pod->cri, a, NULL);
	int64_t at = w->exit.at.tv_sec ? w->exit.at.tv_sec * 1000000000ll + w->exit.at.tv_nsec
				       : cri_now();
	AUTO_TASK struct task *t = NULL;
	struct err e = { 0 };

	/* before anybody hears of the end: a removal that follows finds nothing in its way */
	if (task_get(call.engine->tasks, call.ns, box->id, &t, &e) == 0)
		(void)(w->why.code ? cri_end_task : cri_delete_task)(&call, t, &e);
	if (e.code && e.code != ERR_NOT_FOUND)
		log_warn(LOG({ "error", e.msg }, { "id", box->id }),
			 "the task of a container that has ended stays");
	if (w->why.code) {
		log_warn(LOG({ "error", w->why.msg }, { "id", box->id }),
			 "it is not known how a container ended");
		box_set_exited(box, UNKNOWN_EXIT, "Unknown", NULL, at);
	} else
		box_set_exited(box, (int32_t)w->exit.status, reason_of(box, w->exit.status), NULL,
			       at);
	box_unref(box);
	free(w);
}

/* Of a task whose shim cannot say how it ended nobody would hear again: it is ended. */
static void on_end(const struct err *e, const struct task_exit *x, void *arg)
{
	struct box *box = arg;
	struct ended *w = NEW(struct ended);

	w->box = box;
	if (e)
		w->why = *e;
	else
		w->exit = *x;
	if (cri_run_exit(box->pod->cri, ended_job, w))
		return;
	box_unref(box);
	free(w);
}

void box_watch(struct box *box, struct task *t)
{
	struct cri *cri = box->pod->cri;
	uint64_t id = 0;

	box_ref(box);
	pthread_mutex_lock(&cri->lock);
	if (!cri->is_stopping)
		id = box->wait = task_wait_new(t, "", on_end, box);
	pthread_mutex_unlock(&cri->lock);
	if (id)
		task_wait_begin(cri->en->tasks, id);
	else
		box_unref(box);
}

/* --- when asked --- */

static bool wait_end(struct box *box, uint64_t ns)
{
	struct cri *cri = box->pod->cri;
	uint64_t end = loop_now() + ns;
	const struct timespec at = { (time_t)(end / 1000000000), (long)(end % 1000000000) };
	int r = 0;

	pthread_mutex_lock(&cri->lock);
	while (box->state == RUNNING && r == 0)
		r = pthread_cond_timedwait(&cri->changed, &cri->lock, &at);
	bool has_ended = box->state != RUNNING;

	pthread_mutex_unlock(&cri->lock);
	return has_ended;
}

int box_kill(struct box *box, struct err *e)
{
	struct cri *cri = box->pod->cri;
	AUTO_TASK struct task *t = NULL;
	struct err gone = { 0 };

	if (wait_end(box, 0))
		return 0;
	if (task_get(cri->en->tasks, CRI_NAMESPACE, box->id, &t, &gone) < 0) {
		if (!wait_end(box, LOST_WAIT_NS)) /* nobody will tell us */
			box_set_exited(box, UNKNOWN_EXIT, "Unknown", NULL, cri_now());
		return 0;
	}
	if (task_kill(t, NULL, SIGKILL, true, &gone) < 0 && gone.code != ERR_NOT_FOUND &&
	    gone.code != ERR_FAILED_PRECONDITION)
		return err_copy(e, &gone);
	return wait_end(box, KILL_WAIT_NS)
		       ? 0
		       : err_set(e, ERR_DEADLINE_EXCEEDED,
				 "an error occurs during waiting for container \"%s\" to be killed",
				 box->id);
}

static int drop_record(struct box *box, struct err *e)
{
	struct store *s = box->pod->cri->en->store;
	const struct snapshot_at at = { .ns = CRI_NAMESPACE, .snapshotter = box->snapshotter };
	struct err gone = { 0 };

	if (container_delete(s, CRI_NAMESPACE, box->id, &gone) < 0 && gone.code != ERR_NOT_FOUND)
		return err_copy(e, &gone);
	err_clear(&gone);
	if (*box->snapshotter && snapshot_remove(s, &at, box->id, &gone) < 0 &&
	    gone.code != ERR_NOT_FOUND)
		log_warn(LOG({ "error", gone.msg }, { "id", box->id }),
			 "the container's snapshot stays for the collection");
	return 0;
}

int box_discard(struct box *box, struct err *e)
{
	int r;

	if (drop_record(box, e) < 0)
		return err_wrap(e, "failed to delete containerd container \"%s\"", box->id);
	r = file_remove_tree(AT_FDCWD, box->dir);
	if (r < 0)
		log_warn(LOG({ "error", err_errno_text(-r) }, { "id", box->id }),
			 "cannot remove the container's folder");
	box_drop(box);
	return 0;
}

int box_remove(struct box *box, struct err *e)
{
	pthread_mutex_lock(&box->pod->cri->lock);
	bool is_removed = box->is_removed; /* meanwhile */

	pthread_mutex_unlock(&box->pod->cri->lock);
	if (is_removed)
		return 0;
	if (box_kill(box, e) < 0)
		return err_wrap(e, "failed to forcibly stop container \"%s\"", box->id);
	if (box_discard(box, e) < 0)
		return -1;
	cri_tell(box->pod->cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_DELETED_EVENT,
		 box->pod, box->id);
	return 0;
}

int cri_remove_box(struct cri *cri, const char *id, struct err *e)
{
	struct err none = { 0 };
	AUTO_BOX struct box *box = box_find(cri, id, &none);
	int r;

	if (!box)
		return 0; /* it is gone */
	pthread_mutex_lock(&box->turn);
	r = box_remove(box, e);
	pthread_mutex_unlock(&box->turn);
	return r;
}
