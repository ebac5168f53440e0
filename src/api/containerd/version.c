/* The Version service. */
#include "api/containerd/services.h"

#include "base/mem.h"

#include "containerd/services/version/v1/version.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

/* The version of containerd's API that is spoken here, as a semantic version: nerdctl uses
 * Transfer from 2.0.0 on, and compares.  Ours stands behind it as build metadata. */
#define API_VERSION "2.3.4+casco." CASCO_VERSION

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
