#include "api/containerd/services.h"

const struct rpc_service api_services[] = {
	{ NULL, NULL },
};
