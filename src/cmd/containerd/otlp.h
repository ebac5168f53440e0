/* Traces to a collector: OTLP over HTTP or gRPC.
 *
 * Ended spans go into a queue of OTLP_QUEUE; a pool thread posts what there is when the first of
 * them has waited for the delay, or there is a batch.  Spans for which there is no room, or which
 * the collector does not take, are dropped and counted in the log: a request waits for none of
 * this.  libcurl is loaded when tracing over HTTP is configured, so that nobody else pays its
 * memory. */
#pragma once

#include "base/err.h"
#include "engine/config.h"

struct loop;
struct otlp;
struct pool;

enum { OTLP_QUEUE = 2048, OTLP_BATCH = 512 };

/* *ret NULL where tracing is not configured.  Before the first call. */
int otlp_new(const struct config_tracing *cfg, struct loop *l, struct pool *p, struct otlp **ret,
	     struct err *e);
/* The loop's thread, while the pool works: what is queued goes as a last batch. */
void otlp_stop(struct otlp *o); /* NULL is fine, twice too */
void otlp_free(struct otlp *o); /* after the pool has ended */
