#include "cmd/containerd/otlp.h"

#include "base/log.h"
#include "base/str.h"
#include "cmd/containerd/otlp_grpc.h"
#include "cmd/containerd/otlp_span.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "loop/trace.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define EXPORT_MS 5000L
#define LAST_EXPORT_MS 1500L

/* What we need of libcurl, by its own declarations. */
struct curl_calls {
	__typeof__(curl_easy_init) *init;
	__typeof__(curl_easy_setopt) *setopt;
	__typeof__(curl_easy_perform) *perform;
	__typeof__(curl_easy_getinfo) *getinfo;
	__typeof__(curl_easy_strerror) *text;
	__typeof__(curl_easy_cleanup) *cleanup;
	__typeof__(curl_slist_append) *append;
	__typeof__(curl_slist_free_all) *free_list;
};

struct otlp {
	const struct config_tracing *cfg;
	struct loop *loop;
	struct pool *pool;
	struct curl_calls curl;
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

/* A collector's answer is of no use: it is read and forgotten. */
static size_t forget(UNUSED char *p, size_t size, size_t n, UNUSED void *arg)
{
	return size * n;
}

static struct curl_slist *make_headers(const struct otlp *o)
{
	struct curl_slist *l = o->curl.append(NULL, "Content-Type: application/x-protobuf");
	AUTO_FREE char *copy = xstrdup(o->cfg->headers);

	for (char *p = copy, *next; p && *p; p = next) {
		char *value;

		next = strchr(p, ',');
		if (next)
			*next++ = 0;
		value = strchr(p, '=');
		if (!value)
			continue;
		*value++ = 0;
		AUTO_FREE char *line = xasprintf("%s: %s", p, value);
		struct curl_slist *more = o->curl.append(l, line);

		l = more ?: l;
	}
	return l;
}

static int post_body(struct otlp *o, const void *body, size_t n, long ms, struct err *e)
{
	CURL *c = o->curl.init();
	struct curl_slist *headers = make_headers(o);
	long status = 0;

	if (!c)
		return err_set(e, ERR_INTERNAL, "curl_easy_init");
	(void)o->curl.setopt(c, CURLOPT_URL, o->cfg->endpoint);
	(void)o->curl.setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)o->curl.setopt(c, CURLOPT_POSTFIELDS, body);
	(void)o->curl.setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
	(void)o->curl.setopt(c, CURLOPT_HTTPHEADER, headers);
	(void)o->curl.setopt(c, CURLOPT_TIMEOUT_MS, ms);
	(void)o->curl.setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)o->curl.setopt(c, CURLOPT_WRITEFUNCTION, forget);
	CURLcode r = o->curl.perform(c);

	if (r == CURLE_OK)
		(void)o->curl.getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	o->curl.cleanup(c);
	o->curl.free_list(headers);
	if (r != CURLE_OK)
		return err_set(e, ERR_UNAVAILABLE, "post %s: %s", o->cfg->endpoint,
			       o->curl.text(r));
	return status / 100 == 2 ? 0
				 : err_set(e, ERR_UNAVAILABLE, "post %s: status %ld",
					   o->cfg->endpoint, status);
}

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

		(void)(o->cfg->is_grpc ? otlp_grpc_post(o->cfg, body, size, ms, &e)
				       : post_body(o, body, size, ms, &e));
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

/* Never unloaded: its libraries have threads' keys and exit handlers of their own. */
static int load_curl(struct curl_calls *c, struct err *e)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	__typeof__(curl_global_init) *global_init;

	if (!lib)
		return err_set(e, ERR_FAILED_PRECONDITION, "tracing: %s", dlerror());
	c->init = (__typeof__(c->init))dlsym(lib, "curl_easy_init");
	c->setopt = (__typeof__(c->setopt))dlsym(lib, "curl_easy_setopt");
	c->perform = (__typeof__(c->perform))dlsym(lib, "curl_easy_perform");
	c->getinfo = (__typeof__(c->getinfo))dlsym(lib, "curl_easy_getinfo");
	c->text = (__typeof__(c->text))dlsym(lib, "curl_easy_strerror");
	c->cleanup = (__typeof__(c->cleanup))dlsym(lib, "curl_easy_cleanup");
	c->append = (__typeof__(c->append))dlsym(lib, "curl_slist_append");
	c->free_list = (__typeof__(c->free_list))dlsym(lib, "curl_slist_free_all");
	global_init = (__typeof__(global_init))dlsym(lib, "curl_global_init");
	if (!c->init || !c->setopt || !c->perform || !c->getinfo || !c->text || !c->cleanup ||
	    !c->append || !c->free_list || !global_init || global_init(CURL_GLOBAL_ALL))
		return err_set(e, ERR_FAILED_PRECONDITION, "tracing: libcurl.so.4 is not complete");
	return 0;
}

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
	if (!cfg->is_grpc && load_curl(&o->curl, e) < 0) {
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
	pthread_mutex_destroy(&o->lock);
	free(o);
}
