#include "cmd/containerd/otlp.h"

#include "base/log.h"
#include "base/str.h"
#include "cmd/containerd/otlp_grpc.h"
#include "cmd/containerd/otlp_http.h"
#include "cmd/containerd/otlp_span.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "loop/trace.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define EXPORT_MS 5000L
#define LAST_EXPORT_MS 1500L

struct otlp {
	const struct config_tracing *cfg;
	struct loop *loop;
	struct pool *pool;
	struct otlp_http *http; /* NULL: gRPC without TLS, by our own client */
	struct loop_timer *timer; /* the loop's thread only */
	pthread_mutex_t lock; /* guards what follows */
	struct span_note *queue[OTLP_QUEUE];
	size_t n;
	uint64_t dropped;
	bool is_sending, is_armed, is_stopping, is_away;
};

/* --- the queue --- */

static void arm(void *arg);
static void export_job(void *arg);

/* With the lock held: somebody has to come for the queue. */
static void wake(struct otlp *o)
{
	if (o->is_sending || !o->n)
		return;
	if (o->n >= OTLP_BATCH || o->is_stopping) {
		o->is_sending = true;
		pool_run(o->pool, export_job, o);
	} else if (!o->is_armed) {
		o->is_armed = true;
		loop_post(o->loop, arm, o);
	}
}

static void take_span(const struct trace_span *s, const struct trace_call *c, void *arg)
{
	struct otlp *o = arg;

	pthread_mutex_lock(&o->lock);
	bool has_room = o->n < OTLP_QUEUE && !o->is_stopping;

	if (has_room)
		o->queue[o->n++] = span_note_new(s, c);
	else
		o->dropped++;
	wake(o);
	pthread_mutex_unlock(&o->lock);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct otlp *o = arg;

	loop_timer_remove(t);
	o->timer = NULL;
	pthread_mutex_lock(&o->lock);
	o->is_armed = false;
	if (o->n && !o->is_sending) {
		o->is_sending = true;
		pool_run(o->pool, export_job, o);
	}
	pthread_mutex_unlock(&o->lock);
}

static void arm(void *arg)
{
	struct otlp *o = arg;

	pthread_mutex_lock(&o->lock);
	bool is_stopping = o->is_stopping;

	pthread_mutex_unlock(&o->lock);
	if (!is_stopping && !o->timer)
		o->timer = loop_timer_add(o->loop, o->cfg->delay, on_timer, o);
}

/* --- the sending --- */

/* Once for the whole time that the collector is away. */
static void note_result(struct otlp *o, const struct err *e, size_t n)
{
	char count[32];
	bool was_away;
	uint64_t dropped;

	pthread_mutex_lock(&o->lock);
	was_away = o->is_away;
	o->is_away = e->code;
	o->dropped += e->code ? n : 0;
	dropped = o->dropped;
	if (!e->code)
		o->dropped = 0;
	pthread_mutex_unlock(&o->lock);
	snprintf(count, sizeof count, "%" PRIu64, dropped);
	if (e->code && !was_away)
		log_warn(LOG({ "error", e->msg }),
			 "traces export: spans are dropped until it works");
	else if (!e->code && dropped)
		log_warn(LOG({ "spans", count }), "traces export works, spans were dropped");
}

static void export_job(void *arg)
{
	struct otlp *o = arg;
	struct span_note *batch[OTLP_BATCH];
	AUTO_FREE uint8_t *body = NULL;
	struct err e = { 0 };

	pthread_mutex_lock(&o->lock);
	size_t n = o->n < OTLP_BATCH ? o->n : OTLP_BATCH;
	long ms = o->is_stopping ? LAST_EXPORT_MS : EXPORT_MS;

	memcpy(batch, o->queue, n * sizeof *batch);
	memmove(o->queue, o->queue + n, (o->n - n) * sizeof *o->queue);
	o->n -= n;
	pthread_mutex_unlock(&o->lock);
	if (n) {
		size_t size = spans_pack(batch, n, o->cfg->service, &body);

		(void)(o->http ? otlp_http_post(o->http, body, size, ms, &e)
			       : otlp_grpc_post(o->cfg, body, size, ms, &e));
	}
	for (size_t i = 0; i < n; i++)
		span_note_free(batch[i]);
	note_result(o, &e, n);
	pthread_mutex_lock(&o->lock);
	o->is_sending = false;
	if (!(o->is_stopping && e.code))
		wake(o);
	pthread_mutex_unlock(&o->lock);
}

/* --- start and end --- */

int otlp_new(const struct config_tracing *cfg, struct loop *l, struct pool *p, struct otlp **ret,
	     struct err *e)
{
	*ret = NULL;
	if (!*cfg->endpoint)
		return 0;
	struct otlp *o = NEW(struct otlp);

	o->cfg = cfg;
	o->loop = l;
	o->pool = p;
	bool is_own = cfg->protocol == OTLP_GRPC && str_starts(cfg->endpoint, "http://");

	if (!is_own && otlp_http_new(cfg, &o->http, e) < 0) {
		free(o);
		return -1;
	}
	pthread_mutex_init(&o->lock, NULL);
	trace_set_sink(take_span, o, cfg->ratio);
	log_info(LOG({ "endpoint", cfg->endpoint }), "exporting traces");
	*ret = o;
	return 0;
}

void otlp_stop(struct otlp *o)
{
	if (!o)
		return;
	loop_timer_remove(TAKE_PTR(o->timer));
	pthread_mutex_lock(&o->lock);
	o->is_stopping = true;
	wake(o);
	pthread_mutex_unlock(&o->lock);
}

void otlp_free(struct otlp *o)
{
	if (!o)
		return;
	trace_set_sink(NULL, NULL, 0);
	for (size_t i = 0; i < o->n; i++)
		span_note_free(o->queue[i]);
	otlp_http_free(o->http);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
