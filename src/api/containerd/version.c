/* The Version service. */
#include "api/containerd/api.h"
#include "api/containerd/services.h"

#include "base/mem.h"

#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

static int version(UNUSED struct rpc_call *c, UNUSED const void *req, void *rsp,
		   UNUSED struct err *e)
{
	Containerd__Services__Version__V1__VersionResponse *r = rsp;

	r->version = (char *)API_VERSION;
	r->revision = (char *)"casco " CASCO_VERSION;
	return 0;
}

const struct rpc_method version_methods[] = {
	RPC_UNARY_IMMEDIATE("Version", google__protobuf__empty,
			    containerd__services__version__v1__version_response, version),
	RPC_END,
};
