/* What the operator chose for the daemon: config.toml and flags, already checked.
 *
 * cmd/containerd fills it before anything else starts; from then on it is read-only, so that any
 * thread may look at it.  Every string is owned by the arena. */
#pragma once

#include "base/log.h"
#include "base/mem.h"
#include "nri/validate.h"
#include "store/content_remote.h"
#include "store/snapshot_options.h"
#include "task/task.h"

#include <stdbool.h>
#include <sys/types.h>

struct config_socket {
	const char *address; /* an absolute path, without "unix://" */
	uid_t uid;
	gid_t gid;
};

/* [grpc] tcp_*: HOST:PORT or "", and PEM files: clear text without a certificate; with a ca clients
 * need one, too. */
struct config_tcp {
	const char *address, *tls_cert, *tls_key, *tls_ca;
	bool disable_cri; /* disable_tcp_service: nothing of Kubernetes' there */
};

/* Places in config.snapshotters. */
enum config_snapshotter {
	CONFIG_BLOCKFILE,
	CONFIG_BTRFS,
	CONFIG_EROFS,
	CONFIG_NATIVE,
	CONFIG_OVERLAYFS,
	CONFIG_SNAPSHOTTERS,
};

/* One of CRI's runtimes: a name, the shim behind it, and its options. */
struct config_runtime {
	const char *name; /* "runc" */
	const char *type; /* "io.containerd.runc.v2" */
	const char *path; /* of the shim binary, or NULL */
	const char *binary_name, *shim_root; /* options.BinaryName and options.Root, or NULL */
	bool systemd_cgroup, no_pivot_root;
};

/* When garbage is collected, by containerd's rules (engine/collector.h). */
struct config_gc {
	double pause_threshold; /* share of the time that runs may take; at most 0.5 */
	uint32_t
		deletion_threshold; /* runs at once after so many deletions; 0: only by the pause */
	uint32_t mutation_threshold; /* a run is due after so many changes; 0: never by them */
	uint64_t schedule_delay, startup_delay; /* ns; startup_delay 0: no run for a start */
};

/* How spans go there; empty and "http/protobuf" are the same. */
enum config_otlp { OTLP_HTTP_PROTOBUF, OTLP_HTTP_JSON, OTLP_GRPC };

/* Where spans go (OTLP), and which. */
struct config_tracing {
	const char *endpoint; /* the whole URL, or "": no tracing */
	const char *service, *headers; /* "K=V,K=V" or "" */
	double ratio; /* of traces that begin here */
	uint64_t delay; /* ns that a span waits for others */
	enum config_otlp protocol;
	/* PEM files for TLS, or "": who may be trusted, and who we are */
	const char *ca, *certificate, *key;
};

/* [proxy_plugins.NAME] of a type other than "snapshot": a service in another program. */
enum config_proxy_type {
	CONFIG_PROXY_CONTENT,
	CONFIG_PROXY_DIFF,
	CONFIG_PROXY_SANDBOX,
	CONFIG_PROXY_TYPES
};
struct config_proxy {
	const char *name, *address; /* of its socket, without "unix://" */
	enum config_proxy_type type;
};
extern const char *const config_proxy_types[CONFIG_PROXY_TYPES]; /* "content" … */

/* Kubernetes' service: what of [plugins.'io.containerd.cri.v1.runtime'] has an effect here. */
struct config_cri {
	const char *default_runtime; /* a name of runtimes */
	const char *unset_seccomp; /* for who names no profile */
	bool unprivileged_ports, unprivileged_icmp;
	bool restrict_oom_score_adj;
	bool device_ownership; /* devices belong to the container's user */
	bool enable_selinux;
	bool disable_apparmor;
	uint32_t log_line_max; /* bytes of one record; what is longer becomes several */
	uint64_t drain_exec_io; /* ns; 0: for as long as it takes */
};

/* CRI's streaming server. */
struct config_stream {
	const char *address, *port; /* an address ("": 127.0.0.1) and a number; "0": any */
	uint64_t idle_timeout; /* ns; 0: none */
	bool tls;
	const char *cert, *key; /* PEM files, or "" */
};

struct config_nri {
	bool disable, disable_connections;
	const char *socket, *plugins, *plugin_config; /* socket: a path; folders */
	uint64_t registration_timeout, request_timeout; /* ns */
	struct nri_rules rules;
};

struct config_verifier {
	const char *bin_dir; /* programs that are asked about every pull */
	int32_t max_verifiers; /* negative: all of them */
	uint64_t timeout; /* ns, of each */
	const char *policy; /* a containers-policy.json, or "" */
};

struct config {
	struct arena *arena;
	const char *root, *state; /* absolute */
	const char *temp; /* TMPDIR of the daemon and its children, or "" */
	struct config_socket grpc, ttrpc;
	struct config_tcp tcp;
	struct config_socket debug; /* HTTP; address "" is none */
	uint32_t max_recv, max_send; /* bytes of one gRPC message */
	const char *metrics_address; /* HOST:PORT, or "" */
	bool metrics_histogram; /* of the time that calls take */
	int32_t oom_score; /* oom_score_adj of the daemon; 0 leaves it */
	enum log_level level;
	enum log_format format;
	const char *snapshotter; /* default: "overlayfs" */
	const char *runtime; /* default: "io.containerd.runc.v2" */
	const char *registry_config; /* certs.d folder; "" or a list separated by ":" */
	unsigned max_downloads; /* layers of one pull at the same time */
	const char *opt_path; /* programs that `ctr install` brings: its bin/ is searched first */
	struct snapshot_options snapshotters[CONFIG_SNAPSHOTTERS];
	struct snapshot_proxy *proxies; /* .remote is the program's to set */
	size_t n_proxies;
	struct config_stream stream;
	uint64_t
		pull_progress_timeout; /* ns without a byte after which CRI's pull ends; 0: never */
	struct config_cri cri;
	const char *cni_conf_dir; /* network configurations */
	const char *cni_bin_dir; /* as older files have it, or "" */
	const char *const *cni_bin_dirs; /* of their plugins; ends with NULL */
	size_t n_cni_bin_dirs;
	const char *publish_address; /* of ports that are published without one, or "" */
	const char *publish_policy; /* "all", "host-firewall" */
	const struct config_proxy *services; /* in other programs */
	size_t n_services;
	const char *content_sharing; /* between namespaces: "shared", "isolated" */
	struct content_proxy content; /* .name NULL: our own; .remote is the program's to set */
	/* who makes and applies layers, in this order; none: "walking" */
	const char *const *differs;
	size_t n_differs;
	uint64_t restart_interval; /* of the restart monitor; ns */
	struct config_gc gc;
	struct config_nri nri;
	struct config_verifier verifier;
	const char *blockio_file; /* classes of block devices (nri/blockio.h), or "" */
	struct config_tracing tracing;
	const char *otlp_endpoint, *otlp_protocol; /* as configured; tracing is what they came to */
	bool otlp_insecure;
	struct task_timeouts timeouts;
	const char *cgroup; /* the daemon's own place in the hierarchies, or "" */
	const struct config_runtime *runtimes;
	size_t n_runtimes;
	const char *const *shim_env; /* "K=V" for shims */
	size_t n_shim_env;
	const char *const *disabled_plugins; /* by type.id or URI, as in config.toml */
	size_t n_disabled_plugins;
	const char *const *required_plugins; /* the daemon does not start without them */
	size_t n_required_plugins;
	const char *self; /* absolute path of the daemon's binary: shims' -publish-binary */
	const char *libexec; /* folder of the transfer worker */
};

/* The socket of a service in another program, or NULL. */
const char *config_proxy(const struct config *cfg, enum config_proxy_type type, const char *name);

/* type.id, or a bare type for all of its plugins. */
bool config_plugin_is_disabled(const struct config *cfg, const char *type, const char *id);
