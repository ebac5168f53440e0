/* The end of a pod: by itself, by StopPodSandbox, by RemovePodSandbox. */
#include "base/log.h"
#include "cri/private.h"
#include "engine/nri.h"
#include "loop/loop.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { END_WAIT_MS = 10000 };
#define KILL_WAIT_NS 120000000000ull
#define LOST_WAIT_NS 2000000000ull

/* --- the task of whatever it is --- */

struct end {
	int fd; /* an eventfd */
	atomic_uint refs;
};

static void end_unref(struct end *w)
{
	if (atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	close(w->fd);
	free(w);
}

static void tell_end(UNUSED const struct err *e, UNUSED const struct task_exit *x, void *arg)
{
	struct end *w = arg;

	(void)eventfd_write(w->fd, 1); /* once: never full */
	end_unref(w);
}

int cri_end_task(const struct call *call, struct task *t, struct err *e)
{
	struct tasks *tasks = call->engine->tasks;
	struct end *w = NEW(struct end);
	struct pollfd p = { -1, POLLIN, 0 };
	struct err ignored = { 0 };

	*w = (struct end){ eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 2 };
	p.fd = w->fd;

	uint64_t id = task_wait_new(t, "", tell_end, w);

	task_wait_begin(tasks, id);
	(void)task_kill(t, NULL, SIGKILL, true, &ignored); /* it may have ended */
	if (poll(&p, 1, END_WAIT_MS) <= 0)
		task_wait_cancel(tasks, id); /* the deletion says what is wrong */
	end_unref(w);
	return cri_delete_task(call, t, e);
}

int cri_delete_task(const struct call *call, struct task *t, struct err *e)
{
	struct task_exit x;

	if (engine_task_delete(call, t, NULL, &x, e) < 0 && e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 0;
}

/* --- pods --- */

static void set_not_ready(struct pod *pod)
{
	struct cri *cri = pod->cri;

	pthread_mutex_lock(&cri->lock);
	bool was_ready = pod->is_ready;

	pod->is_ready = false;
	pod->process = (struct process){ 0 };
	pod->wait = 0;
	strv_done(&pod->ips);
	pod->ips = (struct strv){ 0 };
	pthread_cond_broadcast(&cri->changed);
	pthread_mutex_unlock(&cri->lock);
	if (was_ready)
		cri_tell(cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STOPPED_EVENT, pod,
			 pod->id);
}

/* --- by itself --- */

struct ended {
	struct pod *pod;
	struct err why; /* it is not known how it ended */
};

static void ended_job(void *arg)
{
	struct ended *w = arg;
	struct pod *pod = w->pod;
	AUTO_ARENA struct arena *a = arena_new();
	const struct call call = cri_call(pod->cri, a, NULL);
	AUTO_TASK struct task *t = NULL;
	struct err e = { 0 };

	if (task_get(call.engine->tasks, call.ns, pod->id, &t, &e) == 0)
		(void)(w->why.code ? cri_end_task : cri_delete_task)(&call, t, &e);
	if (e.code && e.code != ERR_NOT_FOUND)
		log_warn(LOG({ "error", e.msg }, { "id", pod->id }),
			 "the task of a pod that has ended stays");
	if (w->why.code)
		log_warn(LOG({ "error", w->why.msg }, { "id", pod->id }),
			 "it is not known how a pod ended");
	set_not_ready(pod);
	pod_unref(pod);
	free(w);
}

static void on_end(const struct err *e, UNUSED const struct task_exit *x, void *arg)
{
	struct pod *pod = arg;
	struct ended *w = NEW(struct ended);

	w->pod = pod;
	if (e)
		w->why = *e;
	if (cri_run_exit(pod->cri, ended_job, w))
		return;
	pod_unref(pod);
	free(w);
}

void pod_watch(struct pod *pod, struct task *t)
{
	struct cri *cri = pod->cri;
	uint64_t id = 0;

	pod_ref(pod);
	pthread_mutex_lock(&cri->lock);
	if (!cri->is_stopping)
		id = pod->wait = task_wait_new(t, "", on_end, pod);
	pthread_mutex_unlock(&cri->lock);
	if (id)
		task_wait_begin(cri->en->tasks, id);
	else
		pod_unref(pod);
}

/* --- when asked --- */

static int stop_boxes(struct pod *pod, struct err *e)
{
	AUTO_HOLD struct cri_hold h = { 0 };

	hold_boxes(pod->cri, pod, &h);
	for (size_t i = 0; i < h.n_boxes; i++) {
		struct box *box = h.boxes[i];

		pthread_mutex_lock(&box->turn);
		int r = box_kill(box, e);

		pthread_mutex_unlock(&box->turn);
		if (r < 0)
			return err_wrap(e, "failed to stop container \"%s\"", box->id);
	}
	return 0;
}

/* Until on_end() has done its work; false: not within the time. */
static bool wait_not_ready(struct pod *pod, uint64_t ns)
{
	struct cri *cri = pod->cri;
	uint64_t end = loop_now() + ns;
	const struct timespec at = { (time_t)(end / 1000000000), (long)(end % 1000000000) };
	int r = 0;

	pthread_mutex_lock(&cri->lock);
	while (pod->is_ready && r == 0)
		r = pthread_cond_timedwait(&cri->changed, &cri->lock, &at);
	bool has_ended = !pod->is_ready;

	pthread_mutex_unlock(&cri->lock);
	return has_ended;
}

int pod_stop(struct pod *pod, struct err *e)
{
	AUTO_TASK struct task *t = NULL;
	struct err gone = { 0 };

	pthread_mutex_lock(&pod->cri->lock);
	pod->is_closing = true;
	pthread_mutex_unlock(&pod->cri->lock);
	if (stop_boxes(pod, e) < 0)
		return -1;
	if (!wait_not_ready(pod, 0)) {
		bool is_there =
			task_get(pod->cri->en->tasks, CRI_NAMESPACE, pod->id, &t, &gone) == 0;

		if (is_there)
			(void)task_kill(t, NULL, SIGKILL, true, &gone); /* or it has ended */
		if (!wait_not_ready(pod, is_there ? KILL_WAIT_NS : LOST_WAIT_NS) && is_there)
			return err_set(
				e, ERR_DEADLINE_EXCEEDED,
				"failed to stop sandbox container \"%s\": it was killed, and "
				"does not end%s%s",
				pod->id, gone.code ? ": " : "", gone.msg);
		set_not_ready(pod);
	}
	pod_files_unmount(pod);
	return 0;
}

int cri_stop_pod(struct cri *cri, const char *id, struct err *e)
{
	struct err none = { 0 };
	AUTO_POD struct pod *pod = pod_find(cri, id, &none);
	int r;

	if (!pod)
		return 0; /* it has stopped */
	pthread_mutex_lock(&pod->turn);
	r = pod_stop(pod, e);
	pthread_mutex_unlock(&pod->turn);
	return r;
}

static int remove_boxes(struct pod *pod, struct err *e)
{
	AUTO_HOLD struct cri_hold h = { 0 };

	hold_boxes(pod->cri, pod, &h);
	for (size_t i = 0; i < h.n_boxes; i++) {
		struct box *box = h.boxes[i];

		pthread_mutex_lock(&box->turn);
		int r = box_remove(box, e);

		pthread_mutex_unlock(&box->turn);
		if (r < 0)
			return err_wrap(e, "failed to remove container \"%s\"", box->id);
	}
	return 0;
}

static int remove_pod(struct pod *pod, struct err *e)
{
	struct cri *cri = pod->cri;
	struct err gone = { 0 };

	pthread_mutex_lock(&cri->lock);
	bool is_removed = pod->is_removed; /* meanwhile */

	pthread_mutex_unlock(&cri->lock);
	if (is_removed)
		return 0;
	if (pod_stop(pod, e) < 0)
		return err_wrap(e, "failed to forcibly stop sandbox \"%s\"", pod->id);
	if (remove_boxes(pod, e) < 0)
		return -1;
	if (container_delete(cri->en->store, CRI_NAMESPACE, pod->id, &gone) < 0 &&
	    gone.code != ERR_NOT_FOUND) {
		err_copy(e, &gone);
		return err_wrap(e, "failed to delete sandbox container \"%s\"", pod->id);
	}
	pod_files_remove(pod);
	pod_drop(pod);
	cri_tell(cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_DELETED_EVENT, pod, pod->id);
	return 0;
}

int cri_remove_pod(struct cri *cri, const char *id, struct err *e)
{
	struct err none = { 0 };
	AUTO_POD struct pod *pod = pod_find(cri, id, &none);
	int r;

	if (!pod)
		return 0; /* it is gone */
	pthread_mutex_lock(&pod->turn);
	r = remove_pod(pod, e);
	pthread_mutex_unlock(&pod->turn);
	return r;
}
