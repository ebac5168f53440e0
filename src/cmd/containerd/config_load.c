#include "cmd/containerd/config_load.h"

#include "base/jsonr.h"
#include "base/log.h"
#include "base/num.h"
#include "base/toml.h"
#include "cmd/containerd/config_file.h"
#include "net/cni.h"
#include "net/publish.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_SIZE_MAX = 1024 * 1024, IMPORTS_DEPTH = 4 };

static void set_defaults(struct config *c)
{
	c->root = "/var/lib/containerd";
	c->state = "/run/containerd";
	c->grpc.address = "/run/containerd/containerd.sock";
	c->tcp = (struct config_tcp){ "", "", "", "", true };
	c->temp = c->cgroup = c->debug.address = c->metrics_address = "";
	c->max_recv = c->max_send = 16 * 1024 * 1024;
	c->level = LOG_INFO;
	c->format = LOG_TEXT;
	c->snapshotter = "overlayfs";
	c->runtime = "io.containerd.runc.v2";
	c->registry_config = "/etc/containerd/certs.d";
	c->max_downloads = 3;
	c->opt_path = "/opt/containerd";
	c->snapshotters[CONFIG_OVERLAYFS].name = "overlayfs";
	c->snapshotters[CONFIG_BLOCKFILE].name = "blockfile";
	c->snapshotters[CONFIG_BTRFS].name = "btrfs";
	c->snapshotters[CONFIG_EROFS].name = "erofs";
	c->snapshotters[CONFIG_NATIVE].name = "native";
	c->cni_conf_dir = CNI_CONF_DIR;
	c->cni_bin_dir = c->publish_address = "";
	c->publish_policy = "all";
	c->content_sharing = "shared";
	c->cri = (struct config_cri){ .default_runtime = "runc",
				      .unset_seccomp = "",
				      .unprivileged_ports = true,
				      .unprivileged_icmp = true,
				      .log_line_max = 16 << 10,
				      .drain_exec_io = 15000000000ull };
	c->stream = (struct config_stream){ .address = "127.0.0.1",
					    .port = "0",
					    .idle_timeout = 4 * 3600 * 1000000000ull,
					    .cert = "",
					    .key = "" };
	c->pull_progress_timeout = 5 * 60 * 1000000000ull;
	c->restart_interval = 10000000000u;
	c->gc = (struct config_gc){ .pause_threshold = 0.02,
				    .mutation_threshold = 100,
				    .schedule_delay = 100000000,
				    .startup_delay = 100000000 };
	c->nri = (struct config_nri){ .socket = "/var/run/nri/nri.sock",
				      .plugins = "/opt/nri/plugins",
				      .plugin_config = "/etc/nri/conf.d",
				      .registration_timeout = 5000000000,
				      .request_timeout = 2000000000 };
	c->verifier = (struct config_verifier){ .bin_dir = "/opt/containerd/image-verifier/bin",
						.max_verifiers = 10,
						.timeout = 10000000000,
						.policy = "" };
	c->otlp_endpoint = c->otlp_protocol = c->blockio_file = "";
	c->tracing = (struct config_tracing){ .endpoint = "",
					      .service = "containerd",
					      .headers = "",
					      .ca = "",
					      .certificate = "",
					      .key = "" };
	c->tracing.ratio = 1.0;
	c->timeouts = TASK_TIMEOUTS_DEFAULT;
}

static int load_file(struct config *c, const char *path, bool is_required, int depth,
		     struct err *e);

static int load_pattern(struct config *c, const char *pattern, int depth, struct err *e)
{
	bool is_glob = strpbrk(pattern, "*?[");
	glob_t found = { 0 };
	int r = 0;

	if (!is_glob)
		return load_file(c, pattern, true, depth + 1, e);
	if (glob(pattern, 0, NULL, &found) == 0) /* sorted by name */
		for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
			r = load_file(c, found.gl_pathv[i], true, depth + 1, e);
	globfree(&found);
	return r;
}

/* Later files win over this one.  Without the key the drop-ins of the system's own file count. */
static int load_imports(struct config *c, const char *path, json_object *top, int depth,
			struct err *e)
{
	json_object *imports = NULL;
	const char *slash = strrchr(path, '/');

	if (jsonr_array(top, "imports", &imports, e) < 0)
		return -1;
	if (!imports && depth == 0 && !strcmp(path, CONFIG_DEFAULT_FILE))
		return load_pattern(c, CONFIG_DROP_INS, depth, e);
	for (size_t i = 0; imports && i < json_object_array_length(imports); i++) {
		json_object *item = json_object_array_get_idx(imports, i);
		const char *pattern = json_object_get_string(item) ?: "";
		AUTO_FREE char *full =
			*pattern == '/' || !slash
				? xstrdup(pattern)
				: xasprintf("%.*s/%s", (int)(slash - path), path, pattern);

		if (load_pattern(c, full, depth, e) < 0)
			return -1;
	}
	return 0;
}

static int load_file(struct config *c, const char *path, bool is_required, int depth, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *top = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_SIZE_MAX, &text, &n);

	if (r == -ENOENT && !is_required)
		return !strcmp(path, CONFIG_DEFAULT_FILE) ? load_pattern(c, CONFIG_DROP_INS, 0, e)
							  : 0;
	if (r < 0)
		return err_sys(e, -r, "read config %s", path);
	if (depth > IMPORTS_DEPTH)
		return err_set(e, ERR_INVALID_ARGUMENT, "config %s: imports are nested too deep",
			       path);

	if (toml_parse(text, n, &top, e) < 0)
		return err_wrap(e, "failed to load TOML: %s", path);
	config_rename_v1(top);
	if (config_apply(c, &(struct config_source){ path, text, top }, e) < 0)
		return err_wrap(e, "config %s", path);
	return load_imports(c, path, top, depth, e);
}

static const char *absolute(struct config *c, const char *path, struct err *e)
{
	char cwd[PATH_MAX];

	if (*path == '/')
		return path;
	if (!*path || !getcwd(cwd, sizeof cwd)) {
		err_set(e, ERR_INVALID_ARGUMENT, "\"%s\" must be an absolute path", path);
		return NULL;
	}
	return arena_printf(c->arena, "%s/%s", cwd, path);
}

/* Where plugins are looked for: the list, the one folder of older files, or the usual ones. */
static int finish_cni(struct config *c, struct err *e)
{
	const char **one;

	if (!c->n_cni_bin_dirs && *c->cni_bin_dir) {
		one = arena_array(c->arena, 2, sizeof *one);
		one[0] = c->cni_bin_dir;
		c->cni_bin_dirs = one;
		c->n_cni_bin_dirs = 1;
	}
	if (!c->n_cni_bin_dirs) {
		c->cni_bin_dirs = cni_bin_dirs;
		while (cni_bin_dirs[c->n_cni_bin_dirs])
			c->n_cni_bin_dirs++;
	}
	if (*c->publish_address && publish_check_address(c->publish_address, e) < 0)
		return err_wrap(e, "io.casco.network.v1.builtin: publish_address");
	if (strcmp(c->publish_policy, "all") != 0 &&
	    strcmp(c->publish_policy, "host-firewall") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "io.casco.network.v1.builtin: publish_policy is \"all\" or "
			       "\"host-firewall\", not \"%.100s\"",
			       c->publish_policy);
	return (c->cni_conf_dir = absolute(c, c->cni_conf_dir, e)) ? 0 : -1;
}

/* One that is named and not there is passed over when layers come. */
static void check_differs(const struct config *c)
{
	for (size_t i = 0; i < c->n_differs; i++)
		if (strcmp(c->differs[i], "walking") != 0 &&
		    !config_proxy(c, CONFIG_PROXY_DIFF, c->differs[i]))
			log_warn(LOG({ "differ", c->differs[i] }),
				 "diff-service: no differ of that name, skipping");
}

/* There is one content store: another program's only in the place of our own. */
static int finish_content(struct config *c, struct err *e)
{
	if (!*c->content_sharing)
		c->content_sharing = "shared";
	if (strcmp(c->content_sharing, "shared") != 0 &&
	    strcmp(c->content_sharing, "isolated") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "io.containerd.metadata.v1.bolt: content_sharing_policy is "
			       "\"shared\" or \"isolated\", not \"%.100s\"",
			       c->content_sharing);
	for (size_t i = 0; i < c->n_services; i++) {
		const struct config_proxy *p = &c->services[i];

		if (p->type != CONFIG_PROXY_CONTENT)
			continue;
		if (c->content.name)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "proxy_plugins: \"%s\" and \"%s\" are both of type content",
				       c->content.name, p->name);
		if (!config_plugin_is_disabled(c, "io.containerd.content.v1", "content"))
			return err_set(
				e, ERR_INVALID_ARGUMENT,
				"proxy_plugins: \"%s\" is of type content, which the built-in "
				"store must make room for: disabled_plugins = "
				"[\"io.containerd.content.v1.content\"]",
				p->name);
		c->content = (struct content_proxy){ .name = p->name, .address = p->address };
	}
	return 0;
}

static int finish(struct config *c, struct err *e)
{
	check_differs(c);
	if (finish_content(c, e) < 0)
		return -1;
	if (!(c->root = absolute(c, c->root, e)) || !(c->state = absolute(c, c->state, e)) ||
	    !(c->grpc.address = absolute(c, c->grpc.address, e)))
		return -1;
	if (!strcmp(c->root, c->state))
		return err_set(e, ERR_INVALID_ARGUMENT, "root and state must be different paths");
	for (size_t i = 0; i < CONFIG_SNAPSHOTTERS; i++) {
		const char **path = &c->snapshotters[i].root_path;

		if (*path && **path && !(*path = absolute(c, *path, e)))
			return -1;
		c->snapshotters[i].is_disabled = config_plugin_is_disabled(
			c, "io.containerd.snapshotter.v1", c->snapshotters[i].name);
	}
	if (!c->restart_interval)
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"io.containerd.monitor.container.v1.restart: interval must not be 0");
	if ((*c->debug.address && !(c->debug.address = absolute(c, c->debug.address, e))) ||
	    (*c->temp && !(c->temp = absolute(c, c->temp, e))))
		return -1;
	if (!*c->tcp.tls_cert != !*c->tcp.tls_key || (*c->tcp.tls_ca && !*c->tcp.tls_cert))
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"grpc: tcp_tls_cert and tcp_tls_key go together, tcp_tls_ca with them");
	if (config_tracing_finish(c, e) < 0 || finish_cni(c, e) < 0)
		return -1;
	if (!c->ttrpc.address || !*c->ttrpc.address)
		c->ttrpc.address = arena_printf(c->arena, "%s.ttrpc", c->grpc.address);
	return 0;
}

/* Where the programs beside us are, and what shims get as -publish-binary. */
static void find_self(struct config *c)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = 0;
	c->self = arena_strdup(c->arena, self);
	const char *slash = strrchr(c->self, '/');

	/* installed: PREFIX/bin/containerd and PREFIX/libexec/casco */
	c->libexec = arena_printf(c->arena, "%.*s/../libexec/casco",
				  slash ? (int)(slash - c->self) : 0, c->self);
}

int config_load(const struct config_flags *flags, struct config *ret, struct err *e)
{
	*ret = (struct config){ .arena = arena_new() };
	set_defaults(ret);
	find_self(ret);
	if (load_file(ret, flags->file ?: CONFIG_DEFAULT_FILE, flags->file, 0, e) < 0)
		return -1;
	if (flags->root)
		ret->root = flags->root;
	if (flags->state)
		ret->state = flags->state;
	if (flags->address) {
		ret->grpc.address =
			str_starts(flags->address, "unix://") ? flags->address + 7 : flags->address;
		ret->ttrpc.address = NULL;
	}
	if (flags->level && log_level_parse(flags->level, &ret->level) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "not a valid logrus Level: \"%s\"",
			       flags->level);
	return finish(ret, e);
}
