/* `containerd config migrate`: old names of plugins and keys, and a config as TOML again. */
#include "cmd/containerd/config_load.h"

#include "base/jsonw.h"
#include "base/toml.h"
#include "os/file.h"

#include <fcntl.h>
#include <string.h>

enum { CONFIG_SIZE_MAX = 1 << 20, DEPTH_MAX = 40 };

#define CRI "io.containerd.grpc.v1.cri"
#define IMAGES "io.containerd.cri.v1.images"
#define RUNTIME "io.containerd.cri.v1.runtime"

/* Version 1's ids, where version 2 has the type in front. */
static const struct {
	const char *id, *uri;
} v1_names[] = {
	{ "cri", CRI },
	{ "overlayfs", "io.containerd.snapshotter.v1.overlayfs" },
	{ "native", "io.containerd.snapshotter.v1.native" },
	{ "btrfs", "io.containerd.snapshotter.v1.btrfs" },
	{ "devmapper", "io.containerd.snapshotter.v1.devmapper" },
	{ "scheduler", "io.containerd.gc.v1.scheduler" },
	{ "bolt", "io.containerd.metadata.v1.bolt" },
	{ "cgroups", "io.containerd.monitor.v1.cgroups" },
	{ "opt", "io.containerd.internal.v1.opt" },
	{ "restart", "io.containerd.internal.v1.restart" },
	{ "diff-service", "io.containerd.service.v1.diff-service" },
};

/* Where the keys of version 2's one CRI plugin went; all others are RUNTIME's. */
static const struct {
	const char *from[2]; /* below CRI */
	const char *plugin, *to[2];
} cri_moves[] = {
	{ { "registry" }, IMAGES, { "registry" } },
	{ { "image_decryption" }, IMAGES, { "image_decryption" } },
	{ { "max_concurrent_downloads" }, IMAGES, { "max_concurrent_downloads" } },
	{ { "image_pull_progress_timeout" }, IMAGES, { "image_pull_progress_timeout" } },
	{ { "image_pull_with_sync_fs" }, IMAGES, { "image_pull_with_sync_fs" } },
	{ { "stats_collect_period" }, IMAGES, { "stats_collect_period" } },
	{ { "sandbox_image" }, IMAGES, { "pinned_images", "sandbox" } },
	{ { "containerd", "snapshotter" }, IMAGES, { "snapshotter" } },
	{ { "containerd", "disable_snapshot_annotations" },
	  IMAGES,
	  { "disable_snapshot_annotations" } },
	{ { "containerd", "discard_unpacked_layers" }, IMAGES, { "discard_unpacked_layers" } },
	{ { "disable_tcp_service" }, CRI, { "disable_tcp_service" } },
	{ { "stream_server_address" }, CRI, { "stream_server_address" } },
	{ { "stream_server_port" }, CRI, { "stream_server_port" } },
	{ { "stream_idle_timeout" }, CRI, { "stream_idle_timeout" } },
	{ { "enable_tls_streaming" }, CRI, { "enable_tls_streaming" } },
	{ { "x509_key_pair_streaming" }, CRI, { "x509_key_pair_streaming" } },
};

static int64_t version_of(json_object *top)
{
	json_object *v = json_object_object_get(top, "version");

	return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : 1;
}

static json_object *table_of(json_object *in, const char *key)
{
	json_object *t = json_object_object_get(in, key);

	if (json_object_is_type(t, json_type_object))
		return t;
	t = json_object_new_object();
	json_object_object_add(in, key, t);
	return t;
}

static void rename_key(json_object *in, const char *from, const char *to)
{
	json_object *v = json_object_object_get(in, from);

	if (!v)
		return;
	json_object_object_add(in, to, json_object_get(v));
	json_object_object_del(in, from);
}

void config_rename_v1(json_object *top)
{
	json_object *plugins = json_object_object_get(top, "plugins");

	if (version_of(top) > 1 || !json_object_is_type(plugins, json_type_object))
		return;
	for (size_t i = 0; i < ARRAY_LEN(v1_names); i++)
		rename_key(plugins, v1_names[i].id, v1_names[i].uri);
}

static void move(json_object *from, const char *const *at, json_object *to, const char *const *name)
{
	json_object *in = at[1] ? json_object_object_get(from, at[0]) : from;
	const char *key = at[1] ?: at[0];
	json_object *v =
		json_object_is_type(in, json_type_object) ? json_object_object_get(in, key) : NULL;

	if (!v)
		return;
	if (name[1])
		to = table_of(to, name[0]);
	json_object_object_add(to, name[1] ?: name[0], json_object_get(v));
	json_object_object_del(in, key);
}

static void split_cri(json_object *plugins)
{
	AUTO_JSON json_object *old = json_object_get(json_object_object_get(plugins, CRI));

	if (!json_object_is_type(old, json_type_object))
		return;
	json_object_object_del(plugins, CRI);
	for (size_t i = 0; i < ARRAY_LEN(cri_moves); i++)
		move(old, cri_moves[i].from, table_of(plugins, cri_moves[i].plugin),
		     cri_moves[i].to);
	json_object_object_add(plugins, RUNTIME, json_object_get(old));
}

static void put_key(struct str *out, const char *key)
{
	if (*key && !key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_-")])
		str_add(out, key);
	else
		jsonw_quote(out, key);
}

static void put_value(struct str *out, json_object *v, int depth)
{
	const char *between = "";

	if (depth > DEPTH_MAX)
		return;
	if (json_object_is_type(v, json_type_string)) {
		jsonw_quote(out, json_object_get_string(v));
	} else if (json_object_is_type(v, json_type_array)) {
		str_addc(out, '[');
		for (size_t i = 0; i < json_object_array_length(v); i++) {
			str_add(out, i ? ", " : "");
			put_value(out, json_object_array_get_idx(v, i), depth + 1);
		}
		str_addc(out, ']');
	} else if (json_object_is_type(v, json_type_object)) {
		str_add(out, "{ ");
		json_object_object_foreach(v, key, below)
		{
			str_add(out, between);
			put_key(out, key);
			str_add(out, " = ");
			put_value(out, below, depth + 1);
			between = ", ";
		}
		str_add(out, " }");
	} else {
		str_add(out, json_object_to_json_string(v));
	}
}

/* A table's own keys, then the tables below it. */
static void put_table(struct str *out, const char *path, json_object *t, int depth)
{
	if (depth > DEPTH_MAX)
		return;
	json_object_object_foreach(t, key, v)
	{
		if (json_object_is_type(v, json_type_object))
			continue;
		put_key(out, key);
		str_add(out, " = ");
		put_value(out, v, depth);
		str_addc(out, '\n');
	}
	json_object_object_foreach(t, name, below)
	{
		AUTO_STR struct str full = STR_INIT(4096);

		if (!json_object_is_type(below, json_type_object))
			continue;
		str_addf(&full, "%s%s", path, *path ? "." : "");
		put_key(&full, name);
		str_addf(out, "\n[%s]\n", str_c(&full));
		put_table(out, str_c(&full), below, depth + 1);
	}
}

int config_migrate(const char *path, struct str *out, struct err *e)
{
	AUTO_JSON json_object *top = NULL;
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_SIZE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read config %s", path);
	if (toml_parse(text, n, &top, e) < 0)
		return err_wrap(e, "failed to load TOML: %s", path);
	if (version_of(top) > 3)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "expected containerd config version equal to or less than `3`, got "
			       "`%lld`",
			       (long long)version_of(top));
	config_rename_v1(top);
	if (version_of(top) < 3 && json_object_object_get(top, "plugins"))
		split_cri(table_of(top, "plugins"));
	json_object_object_del(top, "version");
	str_add(out, "version = 3\n");
	put_table(out, "", top, 0);
	return out->over ? err_set(e, ERR_OUT_OF_RANGE, "config %s is too large", path) : 0;
}
