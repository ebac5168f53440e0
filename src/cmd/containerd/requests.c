#include "cmd/containerd/requests.h"

#include "base/log.h"
#include "loop/loop.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { CODES = 17, BUCKETS = 11 };
#define SLOW_NS 5000000000ull

/* Upper ends as the Go library has them by default, in microseconds. */
static const uint64_t bucket_us[BUCKETS] = { 5000,   10000,   25000,   50000,   100000,  250000,
					     500000, 1000000, 2500000, 5000000, 10000000 };

static const char *const kind_names[] = {
	[RPC_KIND_UNARY] = "unary",
	[RPC_KIND_SERVER_STREAM] = "server_stream",
	[RPC_KIND_CLIENT_STREAM] = "client_stream",
	[RPC_KIND_BIDI_STREAM] = "bidi_stream",
};

struct counter {
	const struct rpc_service *service;
	const struct rpc_method *method;
	atomic_ullong started, ended[CODES], buckets[BUCKETS + 1], sum_us;
};

struct requests {
	struct counter *v;
	size_t n;
	bool has_histogram;
};

static struct requests *watched; /* set before the first call, unset after the last */

struct requests *requests_new(const struct rpc_service *services, bool has_histogram)
{
	struct requests *r = NEW(struct requests);
	size_t n = 0;

	for (const struct rpc_service *s = services; s->name; s++)
		for (const struct rpc_method *m = s->methods; m->name; m++)
			n++;
	r->v = xcalloc(n, sizeof *r->v);
	r->has_histogram = has_histogram;
	for (const struct rpc_service *s = services; s->name; s++)
		for (const struct rpc_method *m = s->methods; m->name; m++) {
			r->v[r->n].service = s;
			r->v[r->n++].method = m;
		}
	return r;
}

void requests_free(struct requests *r)
{
	if (!r)
		return;
	free(r->v);
	free(r);
}

void requests_watch(struct requests *r)
{
	watched = r;
}

static struct counter *find(const struct rpc_call *c)
{
	struct requests *r = watched;

	for (size_t i = 0; r && i < r->n; i++)
		if (r->v[i].method == c->method)
			return &r->v[i];
	return NULL;
}

void requests_started(const struct rpc_call *c)
{
	struct counter *k = find(c);

	if (k)
		atomic_fetch_add_explicit(&k->started, 1, memory_order_relaxed);
}

static void count(const struct rpc_call *c, const struct err *e, uint64_t ns)
{
	struct counter *k = find(c);
	unsigned code = e ? (unsigned)e->code : 0, b = 0;

	if (!k)
		return;
	while (b < BUCKETS && ns / 1000 > bucket_us[b])
		b++;
	atomic_fetch_add_explicit(&k->ended[code < CODES ? code : ERR_UNKNOWN], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&k->buckets[b], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&k->sum_us, ns / 1000, memory_order_relaxed);
}

/* A stream lives as long as its client wants, and Wait as long as its process. */
static bool is_slow(const struct rpc_call *c, uint64_t ns)
{
	return ns >= SLOW_NS && c->method && c->method->kind == RPC_KIND_UNARY &&
	       strcmp(c->method->name, "Wait") != 0;
}

void requests_ended(const struct rpc_call *c, const struct err *e)
{
	uint64_t ns = loop_now() - c->started;
	bool is_ours = e && (e->code == ERR_UNKNOWN || e->code == ERR_INTERNAL);
	enum log_level level = is_ours ? LOG_ERROR : is_slow(c, ns) ? LOG_WARNING : LOG_DEBUG;
	char took[32], method[256], text[1200] = "";

	count(c, e, ns);
	if (log_level() < level)
		return;
	const char *ns_name = rpc_meta(c, "containerd-namespace");
	snprintf(took, sizeof took, "%.3fms", (double)ns / 1e6);
	snprintf(method, sizeof method, "/%s/%s", c->service ? c->service->name : "?",
		 c->method ? c->method->name : "?");
	if (e && e->code)
		err_text(e, text, sizeof text);
	const struct log_field fields[] = { { "method", method },
					    { "ns", ns_name ? ns_name : "" },
					    { "took", took },
					    { text[0] ? "error" : NULL, text },
					    { NULL, NULL } };
	log_write(level, fields,
		  level == LOG_WARNING ? "slow call"
		  : text[0]            ? "call failed"
				       : "call");
}

static void labels_of(const struct counter *k, char *buf, size_t n)
{
	snprintf(buf, n, "grpc_method=\"%s\",grpc_service=\"%s\",grpc_type=\"%s\"", k->method->name,
		 k->service->name, kind_names[k->method->kind]);
}

static void print_histogram(struct requests *r, struct str *out)
{
	char labels[400];

	str_add(out, "# TYPE grpc_server_handling_seconds histogram\n");
	for (size_t i = 0; i < r->n; i++) {
		struct counter *k = &r->v[i];
		unsigned long long n = 0;

		labels_of(k, labels, sizeof labels);
		for (unsigned b = 0; b <= BUCKETS; b++) {
			n += atomic_load(&k->buckets[b]);
			if (b < BUCKETS)
				str_addf(out,
					 "grpc_server_handling_seconds_bucket{%s,le=\"%g\"} %llu\n",
					 labels, (double)bucket_us[b] / 1e6, n);
		}
		str_addf(out,
			 "grpc_server_handling_seconds_bucket{%s,le=\"+Inf\"} %llu\n"
			 "grpc_server_handling_seconds_sum{%s} %g\n"
			 "grpc_server_handling_seconds_count{%s} %llu\n",
			 labels, n, labels, (double)atomic_load(&k->sum_us) / 1e6, labels, n);
	}
}

void requests_print(struct requests *r, struct str *out)
{
	char labels[400];

	str_add(out, "# HELP grpc_server_handled_total Total number of RPCs completed on the "
		     "server, regardless of success or failure.\n"
		     "# TYPE grpc_server_handled_total counter\n");
	for (size_t i = 0; i < r->n; i++) {
		labels_of(&r->v[i], labels, sizeof labels);
		for (unsigned c = 0; c < CODES; c++)
			str_addf(out, "grpc_server_handled_total{grpc_code=\"%s\",%s} %llu\n",
				 err_class_name((int)c), labels, atomic_load(&r->v[i].ended[c]));
	}
	if (r->has_histogram)
		print_histogram(r, out);
	str_add(out, "# HELP grpc_server_started_total Total number of RPCs started on the "
		     "server.\n# TYPE grpc_server_started_total counter\n");
	for (size_t i = 0; i < r->n; i++) {
		labels_of(&r->v[i], labels, sizeof labels);
		str_addf(out, "grpc_server_started_total{%s} %llu\n", labels,
			 atomic_load(&r->v[i].started));
	}
}
