#include "engine/events.h"

#include "base/ident.h"
#include "base/mem.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct events_sub {
	struct events *exchange;
	struct filter_set *filters;
	events_wake_fn *wake;
	void *arg;
	const struct event **ring; /* n events from first on; cap is a power of two */
	size_t first, n, cap, bytes;
	bool is_cut; /* fell behind */
	struct events_sub *next, *prev;
};

/* One lock for the list and all queues: publishing is short (no I/O, no waiting under it), and one
 * order for all is what subscribers rely on. */
struct events {
	pthread_mutex_t lock;
	struct events_sub *subs;
	events_field_fn *field;
};

struct events *events_new(void)
{
	struct events *x = NEW(struct events);

	pthread_mutex_init(&x->lock, NULL);
	return x;
}

void events_free(struct events *x)
{
	if (!x)
		return;
	if (x->subs)
		BUG("the event exchange ends before its subscribers");
	pthread_mutex_destroy(&x->lock);
	free(x);
}

void events_set_fields(struct events *x, events_field_fn *fn)
{
	x->field = fn;
}

struct event *event_ref(const struct event *ev)
{
	struct event *mine = (struct event *)ev;

	atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return mine;
}

void event_unref(const struct event *ev)
{
	struct event *mine = (struct event *)ev;

	if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1)
		free(mine);
}

static char *put(char **at, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = memcpy(*at, s, n);

	*at += n;
	return p;
}

/* One block of memory: the struct, the texts, the bytes. */
static struct event *new_event(struct timespec time, const char *ns, const char *topic,
			       const char *type_url, const void *value, size_t len)
{
	size_t text = strlen(ns) + strlen(topic) + strlen(type_url) + 3;
	struct event *ev = xmalloc(sizeof *ev + text + len);
	char *at = (char *)(ev + 1);

	*ev = (struct event){ .time = time, .value_len = len };
	atomic_init(&ev->refs, 1);
	ev->ns = put(&at, ns);
	ev->topic = put(&at, topic);
	ev->type_url = put(&at, type_url);
	if (len)
		memcpy(at, value, len);
	ev->value = at;
	return ev;
}

struct filtered {
	const struct events *exchange;
	const struct event *ev;
	char *field; /* the last payload field asked for */
};

/* The fields of containerd's envelope: namespace, topic, event.FIELD…. */
static const char *get_field(const void *obj, const char *const *path, size_t n)
{
	struct filtered *f = (struct filtered *)obj;

	if (n == 1 && strcmp(path[0], "namespace") == 0)
		return *f->ev->ns ? f->ev->ns : NULL;
	if (n == 1 && strcmp(path[0], "topic") == 0)
		return *f->ev->topic ? f->ev->topic : NULL;
	if (n < 2 || strcmp(path[0], "event") != 0 || !f->exchange->field)
		return NULL;
	free(f->field);
	f->field = f->exchange->field(f->ev, path + 1, n - 1);
	return f->field;
}

static bool wants(const struct events_sub *s, const struct event *ev)
{
	struct filtered f = { s->exchange, ev, NULL };
	bool r = filter_match(s->filters, get_field, &f);

	free(f.field);
	return r;
}

static void empty_queue(struct events_sub *s)
{
	for (; s->n; s->n--, s->first++)
		event_unref(s->ring[s->first & (s->cap - 1)]);
	free(TAKE_PTR(s->ring));
	s->cap = s->first = s->bytes = 0;
}

static void grow_ring(struct events_sub *s)
{
	size_t cap = s->cap ? 2 * s->cap : 16;
	const struct event **ring = xcalloc(cap, sizeof *ring);

	for (size_t i = 0; i < s->n; i++)
		ring[i] = s->ring[(s->first + i) & (s->cap - 1)];
	free(s->ring);
	s->ring = ring;
	s->cap = cap;
	s->first = 0;
}

/* Under the lock. */
static void enqueue(struct events_sub *s, const struct event *ev)
{
	bool was_empty = s->n == 0;

	if (s->is_cut)
		return;
	if (s->n >= EVENTS_MAX_QUEUED || s->bytes + ev->value_len > EVENTS_MAX_BYTES) {
		empty_queue(s);
		s->is_cut = true;
		s->wake(s->arg);
		return;
	}
	if (s->n == s->cap)
		grow_ring(s);
	s->ring[(s->first + s->n++) & (s->cap - 1)] = event_ref(ev);
	s->bytes += ev->value_len;
	if (was_empty)
		s->wake(s->arg);
}

/* "/tasks/start": at least one part, each an identifier. */
static int check_topic(const char *topic, struct err *e)
{
	if (!*topic)
		return err_set(e, ERR_INVALID_ARGUMENT, "topic must not be empty");
	if (*topic != '/')
		return err_set(e, ERR_INVALID_ARGUMENT, "topic must start with '/'");
	if (!topic[1])
		return err_set(e, ERR_INVALID_ARGUMENT, "topic must have at least one component");
	for (const char *p = topic + 1, *end; p; p = *end ? end + 1 : NULL) {
		end = strchrnul(p, '/');
		AUTO_FREE char *part = xstrndup(p, (size_t)(end - p));

		if (!ident_is_valid(part))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "topic \"%.200s\": component \"%.80s\" is no identifier",
				       topic, part);
	}
	return 0;
}

int events_forward(struct events *x, struct timespec time, const char *ns, const char *topic,
		   const char *type_url, const void *value, size_t len, struct err *e)
{
	if (!ident_is_valid(ns))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "event envelope has invalid namespace: "
			       "\"%.100s\" is no identifier",
			       ns);
	if (check_topic(topic, e) < 0)
		return err_wrap(e, "envelope topic \"%.200s\"", topic);
	if (len > EVENTS_MAX_BYTES)
		return err_set(e, ERR_INVALID_ARGUMENT, "event of %zu bytes is too large", len);

	struct event *ev = new_event(time, ns, topic, type_url, value, len);
	pthread_mutex_lock(&x->lock);
	for (struct events_sub *s = x->subs; s; s = s->next)
		if (wants(s, ev))
			enqueue(s, ev);
	pthread_mutex_unlock(&x->lock);
	event_unref(ev);
	return 0;
}

int events_publish(struct events *x, const char *ns, const char *topic, const char *type_url,
		   const void *value, size_t len, struct err *e)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return events_forward(x, now, ns, topic, type_url, value, len, e);
}

int events_subscribe(struct events *x, const char *const *filters, size_t n, events_wake_fn *wake,
		     void *arg, struct events_sub **ret, struct err *e)
{
	AUTO_FILTER struct filter_set *f = NULL;

	if (filter_compile(filters, n, &f, e) < 0)
		return -1;

	struct events_sub *s = NEW(struct events_sub);
	s->exchange = x;
	s->filters = TAKE_PTR(f);
	s->wake = wake;
	s->arg = arg;
	pthread_mutex_lock(&x->lock);
	s->next = x->subs;
	if (s->next)
		s->next->prev = s;
	x->subs = s;
	pthread_mutex_unlock(&x->lock);
	*ret = s;
	return 0;
}

int events_next(struct events_sub *s, const struct event **ret, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&s->exchange->lock);
	if (s->is_cut) {
		r = err_set(e, ERR_RESOURCE_EXHAUSTED,
			    "the subscriber fell behind by %d events or %d bytes and was cut off",
			    EVENTS_MAX_QUEUED, EVENTS_MAX_BYTES);
	} else if (s->n) {
		*ret = s->ring[s->first++ & (s->cap - 1)];
		s->n--;
		s->bytes -= (*ret)->value_len;
		if (!s->n)
			empty_queue(s);
		r = 1;
	}
	pthread_mutex_unlock(&s->exchange->lock);
	return r;
}

void events_unsubscribe(struct events_sub *s)
{
	if (!s)
		return;

	struct events *x = s->exchange;
	pthread_mutex_lock(&x->lock);
	if (s->next)
		s->next->prev = s->prev;
	if (s->prev)
		s->prev->next = s->next;
	else
		x->subs = s->next;
	pthread_mutex_unlock(&x->lock);
	empty_queue(s);
	filter_free(s->filters);
	free(s);
}
