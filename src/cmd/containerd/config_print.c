/* `containerd config default` and `config dump`: the configuration as TOML, by its table of keys.
 */
#include "cmd/containerd/config_load.h"

#include "base/jsonw.h"

#include <inttypes.h>
#include <string.h>

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

/* JSON's quoting is TOML's basic string but for what no path or name holds. */
static void put_text(struct str *out, const char *indent, const char *key, const char *value)
{
	str_addf(out, "%s%s = ", indent, key);
	jsonw_quote(out, value ?: "");
	str_addc(out, '\n');
}

static void put_list(struct str *out, const char *indent, const char *key, const char *const *v,
		     size_t n)
{
	str_addf(out, "%s%s = [", indent, key);
	for (size_t i = 0; i < n; i++) {
		str_add(out, i ? ", " : "");
		jsonw_quote(out, v[i]);
	}
	str_add(out, "]\n");
}

static void put_bool(struct str *out, const char *indent, const char *key, bool value)
{
	str_addf(out, "%s%s = %s\n", indent, key, value ? "true" : "false");
}

/* Go reads it back whatever it is; whole milliseconds are all that people write. */
static void put_duration(struct str *out, const char *indent, const char *key, uint64_t ns)
{
	const char *quote = strchr(key, '.') ? "'" : "";

	str_addf(out, "%s%s%s%s = \"", indent, quote, key, quote);
	if (ns % 1000000000 == 0)
		str_addf(out, "%" PRIu64 "s\"\n", ns / 1000000000);
	else if (ns % 1000000 == 0)
		str_addf(out, "%" PRIu64 "ms\"\n", ns / 1000000);
	else
		str_addf(out, "%" PRIu64 "ns\"\n", ns);
}

static void put_timeouts(struct str *out, const struct task_timeouts *t)
{
	str_add(out, "\n[timeouts]\n");
	put_duration(out, "  ", "io.containerd.timeout.metrics.shimstats", t->stats);
	put_duration(out, "  ", "io.containerd.timeout.shim.cleanup", t->cleanup);
	put_duration(out, "  ", "io.containerd.timeout.shim.load", t->load);
	put_duration(out, "  ", "io.containerd.timeout.shim.shutdown", t->shutdown);
	put_duration(out, "  ", "io.containerd.timeout.task.start", t->start);
	put_duration(out, "  ", "io.containerd.timeout.task.state", t->state);
}

static void put_gc(struct str *out, const struct config_gc *gc)
{
	str_add(out, "\n  [plugins.'io.containerd.gc.v1.scheduler']\n");
	str_addf(out,
		 "    pause_threshold = %g\n    deletion_threshold = %u\n"
		 "    mutation_threshold = %u\n",
		 gc->pause_threshold, gc->deletion_threshold, gc->mutation_threshold);
	put_duration(out, "    ", "schedule_delay", gc->schedule_delay);
	put_duration(out, "    ", "startup_delay", gc->startup_delay);
}

static void put_nri(struct str *out, const struct config_nri *nri)
{
	str_add(out, "\n  [plugins.'io.containerd.nri.v1.nri']\n");
	str_addf(out, "    disable = %s\n    disable_connections = %s\n",
		 nri->disable ? "true" : "false", nri->disable_connections ? "true" : "false");
	put_text(out, "    ", "socket_path", nri->socket);
	put_text(out, "    ", "plugin_path", nri->plugins);
	put_text(out, "    ", "plugin_config_path", nri->plugin_config);
	put_duration(out, "    ", "plugin_registration_timeout", nri->registration_timeout);
	put_duration(out, "    ", "plugin_request_timeout", nri->request_timeout);

	const struct nri_rules *r = &nri->rules;
	str_add(out, "    [plugins.'io.containerd.nri.v1.nri'.default_validator]\n");
	put_bool(out, "      ", "enable", r->enable);
	put_bool(out, "      ", "reject_oci_hook_adjustment", r->reject_hooks);
	put_bool(out, "      ", "reject_runtime_default_seccomp_adjustment",
		 r->reject_runtime_default_seccomp);
	put_bool(out, "      ", "reject_unconfined_seccomp_adjustment",
		 r->reject_unconfined_seccomp);
	put_bool(out, "      ", "reject_custom_seccomp_adjustment", r->reject_custom_seccomp);
	put_bool(out, "      ", "reject_namespace_adjustment", r->reject_namespaces);
	put_list(out, "      ", "required_plugins", r->required, r->n_required);
	put_text(out, "      ", "tolerate_missing_plugins_annotation", r->tolerate);
}

static void put_cri(struct str *out, const struct config_cri *c)
{
	str_add(out, "\n  [plugins.'io.containerd.cri.v1.runtime']\n");
	put_bool(out, "    ", "enable_unprivileged_ports", c->unprivileged_ports);
	put_bool(out, "    ", "enable_unprivileged_icmp", c->unprivileged_icmp);
	put_text(out, "    ", "unset_seccomp_profile", c->unset_seccomp);
	put_bool(out, "    ", "restrict_oom_score_adj", c->restrict_oom_score_adj);
	put_bool(out, "    ", "device_ownership_from_security_context", c->device_ownership);
	put_bool(out, "    ", "enable_selinux", c->enable_selinux);
	put_bool(out, "    ", "disable_apparmor", c->disable_apparmor);
	put_duration(out, "    ", "drain_exec_sync_io_timeout", c->drain_exec_io);
	str_addf(out, "    max_container_log_line_size = %" PRId64 "\n",
		 c->log_line_max == UINT32_MAX ? -1 : (int64_t)c->log_line_max);
	str_add(out, "    [plugins.'io.containerd.cri.v1.runtime'.containerd]\n");
	put_text(out, "      ", "default_runtime_name", c->default_runtime);
}

static void put_verifier(struct str *out, const struct config_verifier *v)
{
	str_add(out, "\n  [plugins.'io.containerd.image-verifier.v1.bindir']\n");
	put_text(out, "    ", "bin_dir", v->bin_dir);
	str_addf(out, "    max_verifiers = %d\n", v->max_verifiers);
	put_duration(out, "    ", "per_verifier_timeout", v->timeout);
	str_add(out, "\n  [plugins.'io.containerd.image-verifier.v1.policy']\n");
	put_text(out, "    ", "path", v->policy);
}

static void put_tracing(struct str *out, const struct config *c)
{
	str_add(out, "\n  [plugins.'io.containerd.internal.v1.tracing']\n");
	put_text(out, "    ", "service_name", c->tracing.service);
	str_addf(out, "    sampling_ratio = %g\n", c->tracing.ratio);
	str_add(out, "\n  [plugins.'io.containerd.tracing.processor.v1.otlp']\n");
	put_text(out, "    ", "endpoint", c->otlp_endpoint);
	put_text(out, "    ", "protocol", c->otlp_protocol);
	str_addf(out, "    insecure = %s\n", c->otlp_insecure ? "true" : "false");
}

static void put_socket(struct str *out, const char *table, const struct config_socket *s)
{
	str_addf(out, "\n[%s]\n", table);
	put_text(out, "  ", "address", s->address);
	str_addf(out, "  uid = %u\n  gid = %u\n", s->uid, s->gid);
}

static void put_runtime(struct str *out, const struct config_runtime *r)
{
	str_addf(out, "\n    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'%s']\n",
		 r->name);
	put_text(out, "      ", "runtime_type", r->type);
	put_text(out, "      ", "runtime_path", r->path);
	str_addf(
		out,
		"      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'%s'.options]\n",
		r->name);
	put_text(out, "        ", "BinaryName", r->binary_name);
	put_text(out, "        ", "Root", r->shim_root);
	str_addf(out, "        SystemdCgroup = %s\n        NoPivotRoot = %s\n",
		 r->systemd_cgroup ? "true" : "false", r->no_pivot_root ? "true" : "false");
}

static void put_snapshotter(struct str *out, const struct snapshot_options *o, size_t which)
{
	str_addf(out, "\n  [plugins.'io.containerd.snapshotter.v1.%s']\n", o->name);
	put_text(out, "    ", "root_path", o->root_path);
	if (which == CONFIG_EROFS)
		put_list(out, "    ", "ovl_mount_options", o->mount_options, o->n_mount_options);
	if (which == CONFIG_BLOCKFILE) {
		put_text(out, "    ", "scratch_file", o->scratch_file);
		put_text(out, "    ", "fs_type", o->fs_type);
		put_list(out, "    ", "mount_options", o->mount_options, o->n_mount_options);
		str_addf(out, "    recreate_scratch = %s\n",
			 o->recreate_scratch ? "true" : "false");
	}
	if (which != CONFIG_OVERLAYFS)
		return;
	str_addf(out, "    upperdir_label = %s\n    sync_remove = %s\n    slow_chown = %s\n",
		 o->upperdir_label ? "true" : "false", o->sync_remove ? "true" : "false",
		 o->slow_chown ? "true" : "false");
	put_list(out, "    ", "mount_options", o->mount_options, o->n_mount_options);
}

static void put_proxy(struct str *out, const struct snapshot_proxy *p)
{
	size_t n = 0;

	while (p->capabilities[n])
		n++;
	str_addf(out, "\n[proxy_plugins.'%s']\n", p->name);
	put_text(out, "  ", "type", "snapshot");
	put_text(out, "  ", "address", p->address);
	put_list(out, "  ", "capabilities", p->capabilities, n);
}

static void put_service(struct str *out, const struct config_proxy *p)
{
	str_addf(out, "\n[proxy_plugins.'%s']\n", p->name);
	put_text(out, "  ", "type", config_proxy_types[p->type]);
	put_text(out, "  ", "address", p->address);
}

static void put_stream(struct str *out, const struct config_stream *s, bool disable_tcp)
{
	str_add(out, "\n  [plugins.'io.containerd.grpc.v1.cri']\n");
	put_bool(out, "    ", "disable_tcp_service", disable_tcp);
	put_text(out, "    ", "stream_server_address", s->address);
	put_text(out, "    ", "stream_server_port", s->port);
	put_duration(out, "    ", "stream_idle_timeout", s->idle_timeout);
	str_addf(out, "    enable_tls_streaming = %s\n", s->tls ? "true" : "false");
	str_add(out, "    [plugins.'io.containerd.grpc.v1.cri'.x509_key_pair_streaming]\n");
	put_text(out, "      ", "tls_cert_file", s->cert);
	put_text(out, "      ", "tls_key_file", s->key);
}

void config_print(const struct config *c, struct str *out)
{
	static const char *const own_differ[] = { "walking" };

	str_add(out, "version = 3\n");
	put_text(out, "", "root", c->root);
	put_text(out, "", "state", c->state);
	put_text(out, "", "temp", c->temp);
	put_list(out, "", "disabled_plugins", c->disabled_plugins, c->n_disabled_plugins);
	put_list(out, "", "required_plugins", c->required_plugins, c->n_required_plugins);
	str_addf(out, "oom_score = %d\n", c->oom_score);
	put_socket(out, "grpc", &c->grpc);
	put_text(out, "  ", "tcp_address", c->tcp.address);
	put_text(out, "  ", "tcp_tls_ca", c->tcp.tls_ca);
	put_text(out, "  ", "tcp_tls_cert", c->tcp.tls_cert);
	put_text(out, "  ", "tcp_tls_key", c->tcp.tls_key);
	str_addf(out, "  max_recv_message_size = %u\n  max_send_message_size = %u\n", c->max_recv,
		 c->max_send);
	put_socket(out, "ttrpc", &c->ttrpc);
	put_socket(out, "debug", &c->debug);
	put_text(out, "  ", "level", level_names[c->level]);
	put_text(out, "  ", "format", c->format == LOG_JSON ? "json" : "text");

	str_add(out, "\n[metrics]\n");
	put_text(out, "  ", "address", c->metrics_address);
	str_addf(out, "  grpc_histogram = %s\n", c->metrics_histogram ? "true" : "false");

	for (size_t i = 0; i < c->n_proxies; i++)
		put_proxy(out, &c->proxies[i]);
	for (size_t i = 0; i < c->n_services; i++)
		put_service(out, &c->services[i]);
	str_add(out, "\n[cgroup]\n");
	put_text(out, "  ", "path", c->cgroup);
	put_timeouts(out, &c->timeouts);

	str_add(out, "\n[plugins]\n  [plugins.'io.containerd.cri.v1.images']\n");
	put_text(out, "    ", "snapshotter", c->snapshotter);
	str_addf(out, "    max_concurrent_downloads = %u\n", c->max_downloads);
	put_duration(out, "    ", "image_pull_progress_timeout", c->pull_progress_timeout);
	str_add(out, "    [plugins.'io.containerd.cri.v1.images'.registry]\n");
	put_text(out, "      ", "config_path", c->registry_config);
	put_cri(out, &c->cri);
	str_add(out, "\n  [plugins.'io.containerd.cri.v1.runtime'.cni]\n");
	put_text(out, "    ", "conf_dir", c->cni_conf_dir);
	put_list(out, "    ", "bin_dirs", c->cni_bin_dirs, c->n_cni_bin_dirs);
	str_add(out, "\n  [plugins.'io.casco.network.v1.builtin']\n");
	put_text(out, "    ", "publish_address", c->publish_address);
	put_text(out, "    ", "publish_policy", c->publish_policy);
	for (size_t i = 0; i < c->n_runtimes; i++)
		put_runtime(out, &c->runtimes[i]);
	put_stream(out, &c->stream, c->tcp.disable_cri);
	str_add(out, "\n  [plugins.'io.containerd.internal.v1.opt']\n");
	put_text(out, "    ", "path", c->opt_path);
	put_gc(out, &c->gc);
	put_verifier(out, &c->verifier);
	str_add(out, "\n  [plugins.'io.containerd.metadata.v1.bolt']\n");
	put_text(out, "    ", "content_sharing_policy", c->content_sharing);
	str_add(out, "\n  [plugins.'io.containerd.monitor.container.v1.restart']\n");
	put_duration(out, "    ", "interval", c->restart_interval);
	put_nri(out, &c->nri);
	str_add(out, "\n  [plugins.'io.containerd.service.v1.diff-service']\n");
	put_list(out, "    ", "default", c->n_differs ? c->differs : own_differ,
		 c->n_differs ? c->n_differs : 1);
	str_add(out, "\n  [plugins.'io.containerd.service.v1.tasks-service']\n");
	put_text(out, "    ", "blockio_config_file", c->blockio_file);
	put_tracing(out, c);
	str_add(out, "\n  [plugins.'io.containerd.shim.v1.manager']\n");
	put_list(out, "    ", "env", c->shim_env, c->n_shim_env);
	for (size_t i = 0; i < CONFIG_SNAPSHOTTERS; i++)
		put_snapshotter(out, &c->snapshotters[i], i);
	str_add(out, "\n  [plugins.'io.containerd.transfer.v1.local']\n");
	put_text(out, "    ", "config_path", c->registry_config);
}
