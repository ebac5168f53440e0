/* A batch of spans by OTLP over gRPC, in clear text: one connection a batch. */
#pragma once

#include "engine/config.h"

/* body is a packed TracesData, which is an ExportTraceServiceRequest as well.  Blocks, at most ms.
 */
int otlp_grpc_post(const struct config_tracing *cfg, const void *body, size_t n, long ms,
		   struct err *e);
