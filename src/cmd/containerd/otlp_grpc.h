/* A batch of spans by OTLP over gRPC, in clear text: one connection a batch. */
#pragma once

#include "engine/config.h"

/* body is a packed TracesData, which is an ExportTraceServiceRequest as well.  Blocks, at most ms.
 */
int otlp_grpc_post(const struct config_tracing *cfg, const void *body, size_t n, long ms,
		   struct err *e);

/* The URL of the method that takes spans, for who speaks HTTP/2 himself; port 4317 unless the
 * endpoint says another.  The caller frees it. */
char *otlp_grpc_url(const char *endpoint);
