/* Every request's end: the access log, and the counters behind /v1/metrics. */
#pragma once

#include "base/str.h"
#include "wire/rpc.h"

struct requests;

struct requests *requests_new(const struct rpc_service *services, bool has_histogram);
void requests_free(struct requests *r); /* NULL is fine */

/* The one that the callbacks of a server reach; they carry no argument of their own. */
void requests_watch(struct requests *r);
void requests_started(const struct rpc_call *c); /* grpc_start_fn */
void requests_ended(const struct rpc_call *c, const struct err *e); /* grpc_log_fn */

/* grpc_server_*, as Prometheus text.  Any thread. */
void requests_print(struct requests *r, struct str *out);
