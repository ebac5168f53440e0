/* grpc.health.v1: dockerd asks after a broken event stream. */
#include "api/containerd/services.h"

#include "grpc/health/v1/health.pb-c.h"

#include <string.h>

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* "" is the server as a whole: whoever gets an answer knows that it serves. */
static bool is_known(const char *service)
{
	if (!*service)
		return true;
	for (const struct rpc_service *s = api_services; s->name; s++)
		if (strcmp(s->name, service) == 0)
			return true;
	return false;
}

static int check(UNUSED struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Grpc__Health__V1__HealthCheckRequest *q = req;
	Grpc__Health__V1__HealthCheckResponse *r = rsp;

	if (!is_known(q->service))
		return err_set(e, ERR_NOT_FOUND, "unknown service");
	r->status = SERVING;
	return 0;
}

static void on_cancel(struct rpc_call *c, UNUSED void *arg)
{
	struct err e = { 0 };

	(void)cancel_check(c->cancel, &e);
	rpc_finish(c, NULL, &e);
}

/* The status never changes while the process lives: one message, then silence. */
static int watch(struct rpc_call *c, const void *req, UNUSED void *rsp, struct err *e)
{
	const Grpc__Health__V1__HealthCheckRequest *q = req;
	Grpc__Health__V1__HealthCheckResponse r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	r.status = is_known(q->service) ? SERVING : SERVICE_UNKNOWN;
	if (rpc_send(c, &r, e) < 0)
		return -1;
	rpc_on_cancel(c, on_cancel, NULL);
	return RPC_PARKED;
}

const struct rpc_method health_methods[] = {
	RPC_UNARY_IMMEDIATE("Check", grpc__health__v1__health_check_request,
			    grpc__health__v1__health_check_response, check),
	RPC_SERVER_STREAM("Watch", grpc__health__v1__health_check_request,
			  grpc__health__v1__health_check_response, watch),
	RPC_END,
};
