/* What `containerd config default` of the original writes and has no effect here.  Many start from
 * that file: only a value that somebody chose is worth a warning. */
#include "cmd/containerd/config_file.h"

#include "base/str.h"

#include <string.h>

#define P "plugins/io.containerd."

static const struct {
	const char *path, *value; /* as JSON */
} unused[] = {
	{ P "cri.v1.runtime/ignore_image_defined_volumes", "false" },
	{ P "differ.v1.erofs/mkfs_options", "[]" },
	{ P "grpc.v1.cri/ignore_image_defined_volumes", "false" },
	{ P "metadata.v1.bolt/no_sync", "false" },
	{ P "monitor.task.v1.cgroups/no_prometheus", "false" },
	{ P "service.v1.diff-service/sync_fs", "false" },
	{ P "service.v1.tasks-service/rdt_config_file", "\"\"" },
	{ P "snapshotter.v1.devmapper/root_path", "\"\"" },
	{ P "snapshotter.v1.devmapper/pool_name", "\"\"" },
	{ P "snapshotter.v1.devmapper/base_image_size", "\"\"" },
	{ P "snapshotter.v1.devmapper/async_remove", "false" },
	{ P "snapshotter.v1.devmapper/discard_blocks", "false" },
	{ P "snapshotter.v1.devmapper/fs_type", "\"\"" },
	{ P "snapshotter.v1.devmapper/fs_options", "\"\"" },
	{ P "snapshotter.v1.erofs/enable_fsverity", "false" },
	{ P "snapshotter.v1.erofs/set_immutable", "false" },
	{ P "transfer.v1.local/concurrent_layer_fetch_buffer", "0" },
	{ P "transfer.v1.local/max_concurrent_uploaded_layers", "3" },
	{ P "transfer.v1.local/check_platform_supported", "false" },
};

/* Of layers that are encrypted: two entries with five keys each. */
static const char decoder[] = "stream_processors/io.containerd.ocicrypt.decoder.v1.tar";

bool config_is_unused_default(const char *path, json_object *v)
{
	const char *text = json_object_to_json_string_ext(
		v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	for (size_t i = 0; i < ARRAY_LEN(unused); i++)
		if (!strcmp(unused[i].path, path))
			return !strcmp(unused[i].value, text);
	return str_starts(path, decoder);
}
