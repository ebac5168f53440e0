#include "api/containerd/services.h"

const struct rpc_service api_services[] = {
	{ "containerd.services.streaming.v1.Streaming", streaming_methods },
	{ "containerd.services.transfer.v1.Transfer", transfer_methods },
	{ NULL, NULL },
};
