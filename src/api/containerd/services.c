#include "api/containerd/services.h"

#include "api/cri/services.h"

const struct rpc_service api_services[] = {
	{ "containerd.services.containers.v1.Containers", containers_methods },
	{ "containerd.services.content.v1.Content", content_methods },
	{ "containerd.services.images.v1.Images", images_methods },
	{ "containerd.services.snapshots.v1.Snapshots", snapshots_methods },
	{ "containerd.services.diff.v1.Diff", diff_methods },
	{ "containerd.services.events.v1.Events", events_methods },
	{ "containerd.services.introspection.v1.Introspection", introspection_methods },
	{ "containerd.services.leases.v1.Leases", leases_methods },
	{ "containerd.services.mounts.v1.Mounts", mounts_methods },
	{ "containerd.services.namespaces.v1.Namespaces", namespaces_methods },
	{ "containerd.services.sandbox.v1.Controller", sandbox_controller_methods },
	{ "containerd.services.sandbox.v1.Store", sandbox_store_methods },
	{ "containerd.services.streaming.v1.Streaming", streaming_methods },
	{ "containerd.services.tasks.v1.Tasks", tasks_methods },
	{ "containerd.services.transfer.v1.Transfer", transfer_methods },
	{ "containerd.services.version.v1.Version", version_methods },
	{ "grpc.health.v1.Health", health_methods },
	{ "grpc.reflection.v1.ServerReflection", reflection_methods },
	{ "grpc.reflection.v1alpha.ServerReflection", reflection_methods },
	{ "runtime.v1.ImageService", cri_image_methods },
	{ "runtime.v1.RuntimeService", cri_runtime_methods },
	{ NULL, NULL },
};

/* Nothing that makes a client root of this machine without its operator having said so. */
const struct rpc_service api_tcp_services[] = {
	{ "grpc.health.v1.Health", health_methods },
	{ NULL, NULL },
};
const struct rpc_service api_tcp_cri_services[] = {
	{ "grpc.health.v1.Health", health_methods },
	{ "runtime.v1.ImageService", cri_image_methods },
	{ "runtime.v1.RuntimeService", cri_runtime_methods },
	{ NULL, NULL },
};
