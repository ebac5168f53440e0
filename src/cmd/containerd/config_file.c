#include "cmd/containerd/config_file.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum kind {
	TEXT,
	ID,
	COUNT,
	NUMBER,
	SIGNED,
	SIZE,
	SCORE,
	SHARE,
	RATIO,
	DURATION,
	LINE_SIZE,
	BOOL,
	LEVEL,
	FORMAT,
	LIST,
	QUIET,
};

/* More than what one connection may have in hand would never arrive. */
enum { MESSAGE_MAX = 64 * 1024 * 1024 };

#define TIMEOUT "timeouts/io.containerd.timeout."
#define NRI "plugins/io.containerd.nri.v1.nri/"
#define VERIFIER "plugins/io.containerd.image-verifier.v1."
#define RULE NRI "default_validator/"
#define PUBLISH "plugins/io.casco.network.v1.builtin/"
#define GC "plugins/io.containerd.gc.v1.scheduler/"

/* Parts of a path are joined by "/".  In plugin names of version 2 and 3 both, where they differ.
 * QUIET: taken as it is in the originals' files, and without effect here. */
static const struct known {
	const char *path;
	enum kind kind;
	size_t offset, count_offset;
} known[] = {
#define AT(m) offsetof(struct config, m)
	{ "root", TEXT, AT(root) },
	{ "state", TEXT, AT(state) },
	{ "version", QUIET },
	{ "imports", QUIET },
	{ "oom_score", SCORE, AT(oom_score) },
	{ "temp", TEXT, AT(temp) },
	{ "required_plugins", LIST, AT(required_plugins), AT(n_required_plugins) },
	{ "plugin_dir", QUIET },
	{ "disabled_plugins", LIST, AT(disabled_plugins), AT(n_disabled_plugins) },
	{ "grpc/address", TEXT, AT(grpc.address) },
	{ "plugins/io.containerd.grpc.v1.cri/disable_tcp_service", BOOL, AT(tcp.disable_cri) },
	{ "grpc/tcp_address", TEXT, AT(tcp.address) },
	{ "grpc/tcp_tls_ca", TEXT, AT(tcp.tls_ca) },
	{ "grpc/tcp_tls_cert", TEXT, AT(tcp.tls_cert) },
	{ "grpc/tcp_tls_key", TEXT, AT(tcp.tls_key) },
	{ "grpc/uid", ID, AT(grpc.uid) },
	{ "grpc/gid", ID, AT(grpc.gid) },
	{ "grpc/max_recv_message_size", SIZE, AT(max_recv) },
	{ "grpc/max_send_message_size", SIZE, AT(max_send) },
	{ "ttrpc/address", TEXT, AT(ttrpc.address) },
	{ "ttrpc/uid", ID, AT(ttrpc.uid) },
	{ "ttrpc/gid", ID, AT(ttrpc.gid) },
	{ "debug/address", TEXT, AT(debug.address) },
	{ "debug/uid", ID, AT(debug.uid) },
	{ "debug/gid", ID, AT(debug.gid) },
	{ "metrics/address", TEXT, AT(metrics_address) },
	{ "metrics/grpc_histogram", BOOL, AT(metrics_histogram) },
	{ "debug/level", LEVEL, AT(level) },
	{ "debug/format", FORMAT, AT(format) },
	{ "plugins/io.containerd.server.v1.grpc/address", TEXT, AT(grpc.address) },
	{ "plugins/io.containerd.server.v1.grpc/uid", ID, AT(grpc.uid) },
	{ "plugins/io.containerd.server.v1.grpc/gid", ID, AT(grpc.gid) },
	{ "plugins/io.containerd.server.v1.grpc/max_recv_message_size", SIZE, AT(max_recv) },
	{ "plugins/io.containerd.server.v1.grpc/max_send_message_size", SIZE, AT(max_send) },
	{ "plugins/io.containerd.server.v1.debug/address", TEXT, AT(debug.address) },
	{ "plugins/io.containerd.server.v1.debug/uid", ID, AT(debug.uid) },
	{ "plugins/io.containerd.server.v1.debug/gid", ID, AT(debug.gid) },
	{ "plugins/io.containerd.server.v1.metrics/address", TEXT, AT(metrics_address) },
	{ "plugins/io.containerd.server.v1.metrics/grpc_histogram", BOOL, AT(metrics_histogram) },
	{ "plugins/io.containerd.server.v1.ttrpc/address", TEXT, AT(ttrpc.address) },
	{ "plugins/io.containerd.server.v1.ttrpc/uid", ID, AT(ttrpc.uid) },
	{ "plugins/io.containerd.server.v1.ttrpc/gid", ID, AT(ttrpc.gid) },
	{ "plugins/io.containerd.internal.v1.opt/path", TEXT, AT(opt_path) },
	{ "cgroup/path", TEXT, AT(cgroup) },
	{ TIMEOUT "shim.load", DURATION, AT(timeouts.load) },
	{ TIMEOUT "shim.shutdown", DURATION, AT(timeouts.shutdown) },
	{ TIMEOUT "shim.cleanup", DURATION, AT(timeouts.cleanup) },
	{ TIMEOUT "task.state", DURATION, AT(timeouts.state) },
	{ TIMEOUT "task.start", DURATION, AT(timeouts.start) }, /* ours */
	{ TIMEOUT "metrics.shimstats", DURATION, AT(timeouts.stats) },
	{ TIMEOUT "bolt.open", QUIET },
	{ TIMEOUT "cri.defercleanup", QUIET },
	{ "plugins/io.containerd.tracing.processor.v1.otlp/endpoint", TEXT, AT(otlp_endpoint) },
	{ "plugins/io.containerd.tracing.processor.v1.otlp/protocol", TEXT, AT(otlp_protocol) },
	{ "plugins/io.containerd.tracing.processor.v1.otlp/insecure", BOOL, AT(otlp_insecure) },
	{ "plugins/io.containerd.internal.v1.tracing/service_name", TEXT, AT(tracing.service) },
	{ "plugins/io.containerd.internal.v1.tracing/sampling_ratio", RATIO, AT(tracing.ratio) },
	{ "plugins/io.containerd.service.v1.diff-service/default", LIST, AT(differs),
	  AT(n_differs) },
	{ "plugins/io.containerd.service.v1.tasks-service/blockio_config_file", TEXT,
	  AT(blockio_file) },
	{ "plugins/io.containerd.metadata.v1.bolt/content_sharing_policy", TEXT,
	  AT(content_sharing) },
	{ NRI "disable", BOOL, AT(nri.disable) },
	{ NRI "disable_connections", BOOL, AT(nri.disable_connections) },
	{ NRI "socket_path", TEXT, AT(nri.socket) },
	{ NRI "plugin_path", TEXT, AT(nri.plugins) },
	{ NRI "plugin_config_path", TEXT, AT(nri.plugin_config) },
	{ NRI "plugin_registration_timeout", DURATION, AT(nri.registration_timeout) },
	{ NRI "plugin_request_timeout", DURATION, AT(nri.request_timeout) },
	{ VERIFIER "bindir/bin_dir", TEXT, AT(verifier.bin_dir) },
	{ VERIFIER "bindir/max_verifiers", SIGNED, AT(verifier.max_verifiers) },
	{ VERIFIER "bindir/per_verifier_timeout", DURATION, AT(verifier.timeout) },
	{ VERIFIER "policy/path", TEXT, AT(verifier.policy) },
	{ RULE "enable", BOOL, AT(nri.rules.enable) },
	{ RULE "reject_oci_hook_adjustment", BOOL, AT(nri.rules.reject_hooks) },
	{ RULE "reject_runtime_default_seccomp_adjustment", BOOL,
	  AT(nri.rules.reject_runtime_default_seccomp) },
	{ RULE "reject_unconfined_seccomp_adjustment", BOOL,
	  AT(nri.rules.reject_unconfined_seccomp) },
	{ RULE "reject_custom_seccomp_adjustment", BOOL, AT(nri.rules.reject_custom_seccomp) },
	{ RULE "reject_namespace_adjustment", BOOL, AT(nri.rules.reject_namespaces) },
	{ RULE "required_plugins", LIST, AT(nri.rules.required), AT(nri.rules.n_required) },
	{ RULE "tolerate_missing_plugins_annotation", TEXT, AT(nri.rules.tolerate) },
	{ GC "pause_threshold", SHARE, AT(gc.pause_threshold) },
	{ GC "deletion_threshold", NUMBER, AT(gc.deletion_threshold) },
	{ GC "mutation_threshold", NUMBER, AT(gc.mutation_threshold) },
	{ GC "schedule_delay", DURATION, AT(gc.schedule_delay) },
	{ GC "startup_delay", DURATION, AT(gc.startup_delay) },
	{ "plugins/io.containerd.internal.v1.restart/interval", DURATION, AT(restart_interval) },
	{ "plugins/io.containerd.monitor.container.v1.restart/interval", DURATION,
	  AT(restart_interval) },
	{ "plugins/io.containerd.transfer.v1.local/config_path", TEXT, AT(registry_config) },
	{ "plugins/io.containerd.transfer.v1.local/max_concurrent_downloads", COUNT,
	  AT(max_downloads) },
	{ "plugins/io.containerd.cri.v1.images/registry/config_path", TEXT, AT(registry_config) },
	{ "plugins/io.containerd.cri.v1.runtime/cni/conf_dir", TEXT, AT(cni_conf_dir) },
	{ "plugins/io.containerd.grpc.v1.cri/cni/conf_dir", TEXT, AT(cni_conf_dir) },
	{ "plugins/io.containerd.cri.v1.runtime/cni/bin_dir", TEXT, AT(cni_bin_dir) },
	{ "plugins/io.containerd.grpc.v1.cri/cni/bin_dir", TEXT, AT(cni_bin_dir) },
	{ "plugins/io.containerd.cri.v1.runtime/cni/bin_dirs", LIST, AT(cni_bin_dirs),
	  AT(n_cni_bin_dirs) },
	{ PUBLISH "publish_address", TEXT, AT(publish_address) },
	{ PUBLISH "publish_policy", TEXT, AT(publish_policy) },
/* the same key in version 3 and in version 2 */
#define BOTH(key, ...)                                                \
	{ "plugins/io.containerd.cri.v1.runtime/" key, __VA_ARGS__ }, \
	{                                                             \
		"plugins/io.containerd.grpc.v1.cri/" key, __VA_ARGS__ \
	}
	BOTH("containerd/default_runtime_name", TEXT, AT(cri.default_runtime)),
	BOTH("enable_unprivileged_ports", BOOL, AT(cri.unprivileged_ports)),
	BOTH("enable_unprivileged_icmp", BOOL, AT(cri.unprivileged_icmp)),
	BOTH("unset_seccomp_profile", TEXT, AT(cri.unset_seccomp)),
	BOTH("restrict_oom_score_adj", BOOL, AT(cri.restrict_oom_score_adj)),
	BOTH("device_ownership_from_security_context", BOOL, AT(cri.device_ownership)),
	BOTH("enable_selinux", BOOL, AT(cri.enable_selinux)),
	BOTH("disable_apparmor", BOOL, AT(cri.disable_apparmor)),
	BOTH("drain_exec_sync_io_timeout", DURATION, AT(cri.drain_exec_io)),
	BOTH("max_container_log_line_size", LINE_SIZE, AT(cri.log_line_max)),
	/* what is so here in any case, or does not exist here */
	BOTH("tolerate_missing_hugetlb_controller", QUIET),
	BOTH("disable_hugetlb_controller", QUIET),
	BOTH("disable_cgroup", QUIET),
	BOTH("disable_proc_mount", QUIET),
	BOTH("netns_mounts_under_state_dir", QUIET),
	BOTH("enable_cdi", QUIET),
	BOTH("max_concurrent_downloads_per_image", QUIET),
	BOTH("containerd/ignore_blockio_not_enabled_errors", QUIET),
	BOTH("containerd/ignore_rdt_not_enabled_errors", QUIET),
	BOTH("cni/max_conf_num", QUIET),
	BOTH("cni/setup_serially", QUIET),
	{ "plugins/io.containerd.cri.v1.images/pinned_images/sandbox", QUIET },
	{ "plugins/io.containerd.grpc.v1.cri/sandbox_image", QUIET },
#undef BOTH
	{ "plugins/io.containerd.cri.v1.images/snapshotter", TEXT, AT(snapshotter) },
	{ "plugins/io.containerd.cri.v1.images/max_concurrent_downloads", COUNT,
	  AT(max_downloads) },
	{ "plugins/io.containerd.grpc.v1.cri/registry/config_path", TEXT, AT(registry_config) },
	{ "plugins/io.containerd.grpc.v1.cri/containerd/snapshotter", TEXT, AT(snapshotter) },
	{ "plugins/io.containerd.grpc.v1.cri/max_concurrent_downloads", COUNT, AT(max_downloads) },
#define STREAM "plugins/io.containerd.grpc.v1.cri/"
	{ STREAM "stream_server_address", TEXT, AT(stream.address) },
	{ STREAM "stream_server_port", TEXT, AT(stream.port) },
	{ STREAM "stream_idle_timeout", DURATION, AT(stream.idle_timeout) },
	{ STREAM "enable_tls_streaming", BOOL, AT(stream.tls) },
	{ STREAM "x509_key_pair_streaming/tls_cert_file", TEXT, AT(stream.cert) },
	{ STREAM "x509_key_pair_streaming/tls_key_file", TEXT, AT(stream.key) },
#undef STREAM
	{ "plugins/io.containerd.cri.v1.images/image_pull_progress_timeout", DURATION,
	  AT(pull_progress_timeout) },
	{ "plugins/io.containerd.grpc.v1.cri/image_pull_progress_timeout", DURATION,
	  AT(pull_progress_timeout) },
	{ "plugins/io.containerd.shim.v1.manager/env", LIST, AT(shim_env), AT(n_shim_env) },
	{ "plugins/io.containerd.runtime.v2.task/platforms", QUIET },
#define SNAPSHOTTER(name, key) "plugins/io.containerd.snapshotter.v1." name "/" key
#define OF(name, m) AT(snapshotters[CONFIG_##name].m)
	{ SNAPSHOTTER("overlayfs", "root_path"), TEXT, OF(OVERLAYFS, root_path) },
	{ SNAPSHOTTER("overlayfs", "upperdir_label"), BOOL, OF(OVERLAYFS, upperdir_label) },
	{ SNAPSHOTTER("overlayfs", "sync_remove"), BOOL, OF(OVERLAYFS, sync_remove) },
	{ SNAPSHOTTER("overlayfs", "slow_chown"), BOOL, OF(OVERLAYFS, slow_chown) },
	{ SNAPSHOTTER("overlayfs", "mount_options"), LIST, OF(OVERLAYFS, mount_options),
	  OF(OVERLAYFS, n_mount_options) },
	{ SNAPSHOTTER("native", "root_path"), TEXT, OF(NATIVE, root_path) },
	{ SNAPSHOTTER("blockfile", "root_path"), TEXT, OF(BLOCKFILE, root_path) },
	{ SNAPSHOTTER("blockfile", "scratch_file"), TEXT, OF(BLOCKFILE, scratch_file) },
	{ SNAPSHOTTER("blockfile", "fs_type"), TEXT, OF(BLOCKFILE, fs_type) },
	{ SNAPSHOTTER("blockfile", "mount_options"), LIST, OF(BLOCKFILE, mount_options),
	  OF(BLOCKFILE, n_mount_options) },
	{ SNAPSHOTTER("blockfile", "recreate_scratch"), BOOL, OF(BLOCKFILE, recreate_scratch) },
	{ SNAPSHOTTER("btrfs", "root_path"), TEXT, OF(BTRFS, root_path) },
	{ SNAPSHOTTER("erofs", "root_path"), TEXT, OF(EROFS, root_path) },
	{ SNAPSHOTTER("erofs", "ovl_mount_options"), LIST, OF(EROFS, mount_options),
	  OF(EROFS, n_mount_options) },
#undef OF
#undef SNAPSHOTTER
#undef AT
};

/* JSON has lost the lines: the first one that begins with the key is right but for keys that stand
 * in several tables, where it is near enough for a warning. */
static unsigned line_of(const struct config_source *src, const char *path)
{
	const char *key = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t n = strlen(key);
	unsigned line = 1;

	for (const char *p = src->text; *p; line++) {
		const char *s = p + strspn(p, " \t");
		bool is_table = *s == '[';
		const char *eol = strchrnul(p, '\n');

		s += !is_table && (*s == '"' || *s == '\'');
		if (!is_table && !strncmp(s, key, n) && strchr(" \t=\"'.", s[n]))
			return line;
		if (is_table && memmem(s, (size_t)(eol - s), key, n))
			return line;
		p = *eol ? eol + 1 : eol;
	}
	return 0;
}

static int wrong_type(const struct config_source *src, const char *path, const char *wanted,
		      struct err *e)
{
	return err_set(e, ERR_INVALID_ARGUMENT, "line %u: %s must be %s", line_of(src, path), path,
		       wanted);
}

static const char *socket_path(struct config *c, const char *s)
{
	return arena_strdup(c->arena, str_starts(s, "unix://") ? s + 7 : s);
}

static int set_list(struct config *c, const struct known *k, json_object *v)
{
	size_t n = json_object_array_length(v);
	const char **list = arena_array(c->arena, n + 1, sizeof *list);

	for (size_t i = 0; i < n; i++) {
		json_object *item = json_object_array_get_idx(v, i);

		if (!json_object_is_type(item, json_type_string))
			return -1;
		list[i] = arena_strdup(c->arena, json_object_get_string(item));
	}
	memcpy((char *)c + k->offset, &list, sizeof list);
	memcpy((char *)c + k->count_offset, &n, sizeof n);
	return 0;
}

/* As containerd has it, what is out of its range becomes the nearest that is in it. */
static double share(double d)
{
	return d > 0.5 ? 0.5 : d >= 0 ? d : 0;
}

static int set_key(struct config *c, const struct config_source *src, const struct known *k,
		   json_object *v, struct err *e)
{
	void *to = (char *)c + k->offset;
	bool is_text = json_object_is_type(v, json_type_string);
	bool is_int = json_object_is_type(v, json_type_int);
	int64_t i = json_object_get_int64(v);
	const char *s = is_text ? json_object_get_string(v) : NULL;

	switch (k->kind) {
	case QUIET:
		return 0;
	case TEXT:
		if (!is_text)
			return wrong_type(src, k->path, "a string", e);
		*(const char **)to = socket_path(c, s);
		return 0;
	case ID:
		if (!is_int || i < 0 || i >= UINT32_MAX)
			return wrong_type(src, k->path, "a user or group id", e);
		*(uint32_t *)to = (uint32_t)i;
		return 0;
	case COUNT:
		if (!is_int || i < 1 || i > 64)
			return wrong_type(src, k->path, "a number from 1 to 64", e);
		*(unsigned *)to = (unsigned)i;
		return 0;
	case NUMBER:
		if (!is_int || i < 0 || i > INT32_MAX)
			return wrong_type(src, k->path, "a number that is not negative", e);
		*(uint32_t *)to = (uint32_t)i;
		return 0;
	case SIGNED:
		if (!is_int || i < INT32_MIN || i > INT32_MAX)
			return wrong_type(src, k->path, "a number", e);
		*(int32_t *)to = (int32_t)i;
		return 0;
	case SHARE:
		if (!is_int && !json_object_is_type(v, json_type_double))
			return wrong_type(src, k->path, "a number from 0.0 to 0.5", e);
		*(double *)to = share(json_object_get_double(v));
		return 0;
	case RATIO:
		if (!is_int && !json_object_is_type(v, json_type_double))
			return wrong_type(src, k->path, "a number from 0.0 to 1.0", e);
		*(double *)to = json_object_get_double(v);
		return 0;
	case DURATION:
		if (!is_text || num_duration(s, to) < 0)
			return wrong_type(src, k->path, "a duration such as \"1m30s\"", e);
		return 0;
	case SIZE:
		if (!is_int || i < 0 || i > MESSAGE_MAX)
			return wrong_type(src, k->path, "a number of bytes up to 67108864", e);
		if (i) /* 0 is the default, as for the originals */
			*(uint32_t *)to = (uint32_t)i;
		return 0;
	case LINE_SIZE:
		if (!is_int || i > UINT32_MAX)
			return wrong_type(src, k->path, "a number of bytes", e);
		*(uint32_t *)to = i > 0 ? (uint32_t)i
					: UINT32_MAX; /* not above 0: as much as the shim keeps */
		return 0;
	case SCORE:
		if (!is_int || i < -1000 || i > 1000)
			return wrong_type(src, k->path, "a number from -1000 to 1000", e);
		*(int32_t *)to = (int32_t)i;
		return 0;
	case BOOL:
		if (!json_object_is_type(v, json_type_boolean))
			return wrong_type(src, k->path, "true or false", e);
		*(bool *)to = json_object_get_boolean(v);
		return 0;
	case LEVEL:
		if (!is_text || (*s && log_level_parse(s, to) < 0))
			return wrong_type(src, k->path, "a log level such as \"info\"", e);
		return 0;
	case FORMAT:
		if (!is_text || (*s && strcmp(s, "text") != 0 && strcmp(s, "json") != 0))
			return wrong_type(src, k->path, "\"text\" or \"json\"", e);
		*(enum log_format *)to = strcmp(s, "json") == 0 ? LOG_JSON : LOG_TEXT;
		return 0;
	case LIST:
		if (!json_object_is_type(v, json_type_array) || set_list(c, k, v) < 0)
			return wrong_type(src, k->path, "a list of strings", e);
		return 0;
	}
	return 0;
}

static void add_runtime(struct config *c, const char *name, json_object *o)
{
	struct config_runtime *v = arena_array(c->arena, c->n_runtimes + 1, sizeof *v);
	struct config_runtime r = { .name = arena_strdup(c->arena, name) };
	json_object *options = json_object_object_get(o, "options");

#define TEXT_OF(from, key)                                                                 \
	(json_object_object_get(from, key)                                                 \
		 ? arena_strdup(c->arena,                                                  \
				json_object_get_string(json_object_object_get(from, key))) \
		 : NULL)
	r.type = TEXT_OF(o, "runtime_type");
	r.path = TEXT_OF(o, "runtime_path");
	r.binary_name = TEXT_OF(options, "BinaryName");
	r.shim_root = TEXT_OF(options, "Root");
#undef TEXT_OF
	r.systemd_cgroup =
		json_object_get_boolean(json_object_object_get(options, "SystemdCgroup"));
	r.no_pivot_root = json_object_get_boolean(json_object_object_get(options, "NoPivotRoot"));
	v[0] = r;
	if (c->n_runtimes)
		memcpy(v + 1, c->runtimes, c->n_runtimes * sizeof *v);
	c->runtimes = v;
	c->n_runtimes++;
}

/* A service of a type that is called by name.  The last file wins. */
static bool add_service(struct config *c, const char *name, const char *type, const char *address)
{
	struct config_proxy *v = arena_array(c->arena, c->n_services + 1, sizeof *v);
	size_t which = 0, at = 0;

	while (which < CONFIG_PROXY_TYPES && strcmp(config_proxy_types[which], type) != 0)
		which++;
	if (which == CONFIG_PROXY_TYPES)
		return false;
	if (c->n_services)
		memcpy(v, c->services, c->n_services * sizeof *v);
	while (at < c->n_services && strcmp(v[at].name, name) != 0)
		at++;
	v[at] = (struct config_proxy){ arena_strdup(c->arena, name), socket_path(c, address),
				       (enum config_proxy_type)which };
	c->n_services += at == c->n_services;
	c->services = v;
	return true;
}

/* The last file wins; a type that is not known here says that it has no effect. */
static bool add_proxy(struct config *c, const char *name, json_object *o)
{
	const char *type = json_object_get_string(json_object_object_get(o, "type"));
	const char *address = json_object_get_string(json_object_object_get(o, "address"));
	json_object *capabilities = json_object_object_get(o, "capabilities");
	struct snapshot_proxy *v, p = { .name = arena_strdup(c->arena, name) };
	size_t n = json_object_is_type(capabilities, json_type_array)
			   ? json_object_array_length(capabilities)
			   : 0;

	if (!type || !address || !*address)
		return false;
	if (strcmp(type, "snapshot") != 0)
		return add_service(c, name, type, address);
	p.address = socket_path(c, address);
	for (size_t i = 0; i < n && i < ARRAY_LEN(p.capabilities) - 1; i++)
		p.capabilities[i] = arena_strdup(
			c->arena,
			json_object_get_string(json_object_array_get_idx(capabilities, i)));
	for (size_t i = 0; i < c->n_proxies; i++)
		if (strcmp(c->proxies[i].name, name) == 0) {
			c->proxies[i] = p;
			return true;
		}
	v = arena_array(c->arena, c->n_proxies + 1, sizeof *v);
	if (c->n_proxies)
		memcpy(v, c->proxies, c->n_proxies * sizeof *v);
	v[c->n_proxies++] = p;
	c->proxies = v;
	return true;
}

/* Keys that stand for any name. */
static bool apply_pattern(struct config *c, const char *path, json_object *v)
{
	static const char *const runtimes[] = {
		"plugins/io.containerd.cri.v1.runtime/containerd/runtimes/",
		"plugins/io.containerd.grpc.v1.cri/containerd/runtimes/",
	};
	static const char proxies[] = "proxy_plugins/";

	if (str_starts(path, proxies) && !strchr(path + strlen(proxies), '/') &&
	    json_object_is_type(v, json_type_object))
		return add_proxy(c, path + strlen(proxies), v);
	for (size_t i = 0; i < ARRAY_LEN(runtimes); i++)
		if (str_starts(path, runtimes[i]) && !strchr(path + strlen(runtimes[i]), '/') &&
		    json_object_is_type(v, json_type_object)) {
			add_runtime(c, path + strlen(runtimes[i]), v);
			return true;
		}
	return false;
}

static int apply_value(struct config *c, const struct config_source *src, const char *path,
		       json_object *v, int depth, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i].path, path))
			return set_key(c, src, &known[i], v, e);
	if (apply_pattern(c, path, v))
		return 0;
	if (config_is_unused_default(path, v))
		return 0;
	if (!json_object_is_type(v, json_type_object)) {
		char where[32];

		snprintf(where, sizeof where, "%u", line_of(src, path));
		log_warn(LOG({ "file", src->path }, { "line", where }),
			 "config key \"%s\" has no effect, skipping", path);
		return 0;
	}
	json_object_object_foreach(v, key, below)
	{
		AUTO_FREE char *name = *path ? xasprintf("%s/%s", path, key) : xstrdup(key);

		if (depth > JSONR_DEPTH)
			return err_set(e, ERR_INVALID_ARGUMENT, "%s is nested too deep", path);
		if (apply_value(c, src, name, below, depth + 1, e) < 0)
			return -1;
	}
	return 0;
}

bool config_key(size_t i, struct config_key *ret)
{
	if (i >= ARRAY_LEN(known))
		return false;
	*ret = (struct config_key){ known[i].path, known[i].offset, known[i].kind != QUIET };
	return true;
}

int config_apply(struct config *c, const struct config_source *src, struct err *e)
{
	int64_t version = 0;

	if (jsonr_i64(src->top, "version", &version, e) < 0)
		return -1;
	if (version > 3)
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"expected containerd config version equal to or less than `3`, got `%lld`",
			(long long)version);
	if (version < 2 && json_object_object_length(src->top) > 0)
		log_warn(LOG({ "file", src->path }),
			 "the config is of version 1, which is deprecated: `containerd config "
			 "migrate` prints it in version 3");
	return apply_value(c, src, "", src->top, 0, e);
}
