/* OTLP over HTTP by libcurl, which is loaded when the first exporter asks for it: protobuf, JSON,
 * and gRPC where TLS is wanted. */
#pragma once

#include "base/err.h"
#include "engine/config.h"

struct otlp_http;

/* ERR_FAILED_PRECONDITION without libcurl.  Lives as long as the process. */
int otlp_http_new(const struct config_tracing *cfg, struct otlp_http **ret, struct err *e);
void otlp_http_free(struct otlp_http *h); /* NULL is fine; the library stays */

/* spans: an encoded TracesData.  Blocks for ms at most. */
int otlp_http_post(struct otlp_http *h, const void *spans, size_t n, long ms, struct err *e);
