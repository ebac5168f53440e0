/* The RuntimeService: each call is one call of cri/. */
#include "api/containerd/api.h"
#include "api/cri/services.h"
#include "cri/cri.h"

#define KUBE_API_VERSION "0.1.0" /* a constant of the interface since its first day */

static struct cri *cri_of(const struct rpc_call *c)
{
	return api_engine(c)->cri;
}

static int version(UNUSED struct rpc_call *c, UNUSED const void *req, void *rsp,
		   UNUSED struct err *e)
{
	Runtime__V1__VersionResponse *r = rsp;

	r->version = (char *)KUBE_API_VERSION;
	r->runtime_name = (char *)"containerd";
	r->runtime_version = (char *)API_VERSION;
	r->runtime_api_version = (char *)"v1";
	return 0;
}

static int status(struct rpc_call *c, const void *req, void *rsp, UNUSED struct err *e)
{
	const Runtime__V1__StatusRequest *q = req;

	cri_status(cri_of(c), c->arena, q->verbose, rsp);
	return 0;
}

#define M(name, prefix, fn) \
	RPC_UNARY(name, runtime__v1__##prefix##_request, runtime__v1__##prefix##_response, fn)
const struct rpc_method cri_runtime_methods[] = {
	RPC_UNARY_IMMEDIATE("Version", runtime__v1__version_request, runtime__v1__version_response,
			    version),
	M("Status", status, status),
	RPC_END,
};
