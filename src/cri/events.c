/* GetContainerEvents: what happens to pods and containers, to everybody who wants to know; and the
 * kernel's word that a container's memory ran out, which its shim tells as an event. */
#include "cri/private.h"

#include "containerd/events/task.pb-c.h"
#include "engine/events.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_MAX = 10000 };

struct happening {
	struct happening *next;
	CRI(ContainerEventType) type;
	struct pod *pod; /* a reference */
	char id[ID_SIZE];
	int64_t at;
};

struct watcher {
	struct watcher *next;
	int fd; /* an eventfd */
	struct happening *first, **last;
	size_t n;
	bool is_cut; /* too slow: events were lost */
};

static void happening_free(struct happening *h)
{
	pod_unref(h->pod);
	free(h);
}

void cri_tell(struct cri *cri, CRI(ContainerEventType) type, struct pod *pod, const char *id)
{
	int64_t now = cri_now();

	pthread_mutex_lock(&cri->lock);
	for (struct watcher *w = cri->watchers; w; w = w->next) {
		struct happening *h;

		if (w->n == QUEUE_MAX)
			w->is_cut = true;
		if (!w->is_cut) {
			h = NEW(struct happening);
			h->type = type;
			h->pod = pod;
			h->at = now;
			pod->refs++;
			snprintf(h->id, sizeof h->id, "%s", id);
			*w->last = h;
			w->last = &h->next;
			w->n++;
		}
		(void)eventfd_write(w->fd, 1); /* never full: it is read to 0 */
	}
	pthread_mutex_unlock(&cri->lock);
}

static struct happening *take(struct cri *cri, struct watcher *w, bool *ret_is_cut)
{
	struct happening *h;

	pthread_mutex_lock(&cri->lock);
	h = w->first;
	*ret_is_cut = !h && w->is_cut;
	if (h) {
		w->first = h->next;
		w->n--;
		if (!w->first)
			w->last = &w->first;
	}
	pthread_mutex_unlock(&cri->lock);
	return h;
}

static int deliver(struct cri *cri, struct happening *h, cri_event_fn *fn, void *arg, struct err *e)
{
	CRI(ContainerEventResponse) m = RUNTIME__V1__CONTAINER_EVENT_RESPONSE__INIT;
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_HOLD struct cri_hold hold = { 0 };

	m.container_id = h->id;
	m.container_event_type = h->type;
	m.created_at = h->at;
	m.pod_sandbox_status = pod_status(h->pod, a);
	hold_boxes(cri, h->pod, &hold);
	m.containers_statuses = arena_array(a, hold.n_boxes + 1, sizeof *m.containers_statuses);
	for (size_t i = 0; i < hold.n_boxes; i++)
		m.containers_statuses[m.n_containers_statuses++] = box_status(hold.boxes[i], a);
	return fn(arg, &m, e);
}

static int deliver_all(struct cri *cri, struct watcher *w, cri_event_fn *fn, void *arg,
		       struct err *e)
{
	struct happening *h;
	bool is_cut;

	while ((h = take(cri, w, &is_cut))) {
		int r = deliver(cri, h, fn, arg, e);

		happening_free(h);
		if (r < 0)
			return -1;
	}
	return is_cut ? err_set(e, ERR_RESOURCE_EXHAUSTED,
				"events were lost: they were not read fast enough")
		      : 0;
}

int cri_watch(struct cri *cri, struct cancel *c, cri_event_fn *fn, void *arg, struct err *e)
{
	struct watcher w = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	eventfd_t n;
	int r = 0;

	if (w.fd < 0)
		return err_sys(e, errno, "eventfd");
	w.last = &w.first;
	pthread_mutex_lock(&cri->lock);
	w.next = cri->watchers;
	cri->watchers = &w;
	pthread_mutex_unlock(&cri->lock);
	while (r == 0) {
		r = cancel_poll(c, w.fd, POLLIN, 0, e);
		(void)eventfd_read(w.fd, &n); /* 0 when it was not what woke us */
		if (r == 0)
			r = deliver_all(cri, &w, fn, arg, e);
	}
	pthread_mutex_lock(&cri->lock);
	for (struct watcher **p = &cri->watchers; *p; p = &(*p)->next)
		if (*p == &w) {
			*p = w.next;
			break;
		}
	pthread_mutex_unlock(&cri->lock);
	while (w.first) {
		struct happening *h = w.first;

		w.first = h->next;
		happening_free(h);
	}
	close(w.fd);
	return -1;
}

/* --- memory that ran out --- */

static void wake(UNUSED void *arg)
{
	/* they are looked at when a container ends */
}

int cri_watch_oom(struct cri *cri, struct err *e)
{
	static const char *const filters[] = { "namespace==" CRI_NAMESPACE
					       ",topic==\"/tasks/oom\"" };

	return events_subscribe(cri->en->events, filters, ARRAY_LEN(filters), wake, NULL, &cri->oom,
				e);
}

static void note(struct cri *cri, const struct event *ev)
{
	Containerd__Events__TaskOOM *m =
		containerd__events__task_oom__unpack(NULL, ev->value_len, ev->value);

	if (!m)
		return;
	pthread_mutex_lock(&cri->lock);
	for (struct box *b = cri->boxes; b; b = b->next)
		if (!strcmp(b->id, m->container_id))
			b->is_oom = true;
	pthread_mutex_unlock(&cri->lock);
	containerd__events__task_oom__free_unpacked(m, NULL);
}

void cri_drain_oom(struct cri *cri)
{
	const struct event *ev;
	struct err e = { 0 };

	while (events_next(cri->oom, &ev, &e) > 0) {
		note(cri, ev);
		event_unref(ev);
	}
}
