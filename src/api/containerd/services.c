#include "api/containerd/services.h"

const struct rpc_service api_services[] = {
	{ "containerd.services.containers.v1.Containers", containers_methods },
	{ "containerd.services.diff.v1.Diff", diff_methods },
	{ "containerd.services.streaming.v1.Streaming", streaming_methods },
	{ "containerd.services.transfer.v1.Transfer", transfer_methods },
	{ NULL, NULL },
};
