/* What this daemon can do, in the words clients look for: the names of containerd's plugins.
 *
 * Only what works is listed: nerdctl, BuildKit and dockerd switch features on by what they find. */
#include "api/containerd/api.h"
#include "api/containerd/convert.h"
#include "api/containerd/history.h"
#include "api/containerd/plugins.h"
#include "api/containerd/services.h"
#include "base/filter.h"
#include "base/str.h"
#include "engine/network.h"
#include "oci/platform.h"
#include "store/snapshot.h"

#include "containerd/services/introspection/v1/introspection.pb-c.h"
#include "containerd/types/introspection.pb-c.h"
#include "google/protobuf/empty.pb-c.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

typedef Containerd__Services__Introspection__V1__Plugin plugin_msg;
typedef Containerd__Types__Platform platform_msg;

#define CRI "io.containerd.cri.v1"
#define CONTENT "io.containerd.content.v1"
#define DIFFER "io.containerd.differ.v1"
#define EVENT "io.containerd.event.v1"
#define GC "io.containerd.gc.v1"
#define GRPC "io.containerd.grpc.v1"
#define INTERNAL "io.containerd.internal.v1"
#define LEASE "io.containerd.lease.v1"
#define METADATA "io.containerd.metadata.v1"
#define MONITOR "io.containerd.monitor.container.v1"
#define MOUNTS "io.containerd.mount-manager.v1"
#define IMAGE_VERIFIER "io.containerd.image-verifier.v1"
#define NRI "io.containerd.nri.v1"
#define RUNTIME "io.containerd.runtime.v2"
#define SANDBOX_CONTROLLER "io.containerd.sandbox.controller.v1"
#define SANDBOX_STORE "io.containerd.sandbox.store.v1"
#define SERVICE "io.containerd.service.v1"
#define SHIM "io.containerd.shim.v1"
#define SNAPSHOTTER "io.containerd.snapshotter.v1"
#define STREAMING "io.containerd.streaming.v1"
#define TRANSFER "io.containerd.transfer.v1"

/* grpc_service: listed only when the daemon serves this gRPC service. */
static const struct plugin {
	const char *type, *id, *requires[8]; /* ended by NULL */
	bool has_platform;
	const char *grpc_service;
	const char *capabilities[5]; /* ended by NULL */
} plugins[] = {
	{ CONTENT, "content", { NULL }, false, NULL },
	{ EVENT, "exchange", { NULL }, false, NULL },
	{ METADATA, "lmdb", { CONTENT, EVENT, SNAPSHOTTER }, false, NULL },
	{ GC, "scheduler", { METADATA }, false, NULL },
	{ MOUNTS, "bolt", { METADATA }, false, "containerd.services.mounts.v1.Mounts" },
	{ DIFFER, "walking", { METADATA }, true, "containerd.services.diff.v1.Diff" },
	{ IMAGE_VERIFIER, "bindir", { NULL }, false, NULL },
	{ IMAGE_VERIFIER, "policy", { NULL }, false, NULL },
	{ INTERNAL, "opt", { NULL }, false, NULL },
	{ LEASE, "manager", { METADATA, GC }, false, NULL },
	{ SERVICE, "containers-service", { EVENT, METADATA }, false, NULL },
	{ SERVICE, "content-service", { METADATA }, false, NULL },
	{ SERVICE, "diff-service", { DIFFER }, false, "containerd.services.diff.v1.Diff" },
	{ SERVICE, "images-service", { METADATA, GC }, false, NULL },
	{ SERVICE, "introspection-service", { NULL }, false, NULL },
	{ SERVICE, "namespaces-service", { EVENT, METADATA }, false, NULL },
	{ SERVICE, "snapshots-service", { METADATA }, false, NULL },
	{ NRI, "nri", { NULL }, false, NULL },
	{ SHIM, "manager", { EVENT, METADATA }, false, NULL },
	{ RUNTIME, "task", { SHIM }, true, "containerd.services.tasks.v1.Tasks" },
	{ SERVICE,
	  "tasks-service",
	  { EVENT, RUNTIME, METADATA },
	  false,
	  "containerd.services.tasks.v1.Tasks" },
	{ GRPC, "containers", { SERVICE }, false, "containerd.services.containers.v1.Containers" },
	{ GRPC, "content", { SERVICE }, false, "containerd.services.content.v1.Content" },
	{ GRPC, "diff", { SERVICE }, false, "containerd.services.diff.v1.Diff" },
	{ GRPC, "events", { EVENT }, false, "containerd.services.events.v1.Events" },
	{ GRPC, "images", { SERVICE }, false, "containerd.services.images.v1.Images" },
	{ GRPC,
	  "introspection",
	  { SERVICE },
	  false,
	  "containerd.services.introspection.v1.Introspection" },
	{ GRPC, "leases", { LEASE }, false, "containerd.services.leases.v1.Leases" },
	{ GRPC, "mounts", { MOUNTS }, false, "containerd.services.mounts.v1.Mounts" },
	{ GRPC, "namespaces", { SERVICE }, false, "containerd.services.namespaces.v1.Namespaces" },
	{ SANDBOX_STORE, "local", { METADATA }, false, "containerd.services.sandbox.v1.Store" },
	{ SANDBOX_CONTROLLER,
	  "shim",
	  { SHIM, EVENT },
	  false,
	  "containerd.services.sandbox.v1.Controller" },
	{ GRPC,
	  "sandbox-controllers",
	  { SANDBOX_CONTROLLER, EVENT },
	  false,
	  "containerd.services.sandbox.v1.Controller" },
	{ GRPC, "sandboxes", { SANDBOX_STORE }, false, "containerd.services.sandbox.v1.Store" },
	{ GRPC, "snapshots", { SERVICE }, false, "containerd.services.snapshots.v1.Snapshots" },
	{ STREAMING, "manager", { METADATA }, false, "containerd.services.streaming.v1.Streaming" },
	{ GRPC, "streaming", { STREAMING }, false, "containerd.services.streaming.v1.Streaming" },
	{ GRPC, "tasks", { SERVICE }, false, "containerd.services.tasks.v1.Tasks" },
	{ TRANSFER,
	  "local",
	  { LEASE, METADATA, DIFFER, IMAGE_VERIFIER, SNAPSHOTTER },
	  false,
	  "containerd.services.transfer.v1.Transfer" },
	{ GRPC,
	  "transfer",
	  { TRANSFER, STREAMING },
	  false,
	  "containerd.services.transfer.v1.Transfer" },
	{ GRPC, "version", { NULL }, false, "containerd.services.version.v1.Version" },
	{ MONITOR,
	  "restart",
	  { EVENT, SERVICE },
	  false,
	  NULL,
	  { "no", "always", "on-failure", "unless-stopped" } },
	{ CRI, "runtime", { NULL }, true, "runtime.v1.RuntimeService" },
	{ CRI, "images", { LEASE, METADATA, SNAPSHOTTER }, false, "runtime.v1.ImageService" },
	{ GRPC, "cri", { CRI, EVENT, SERVICE, LEASE }, false, "runtime.v1.RuntimeService" },
	{ GRPC, "healthcheck", { NULL }, false, "grpc.health.v1.Health" },
};

static bool is_served(const char *service)
{
	if (!service)
		return true;
	for (const struct rpc_service *s = api_services; s->name; s++)
		if (strcmp(s->name, service) == 0)
			return true;
	return false;
}

static void set_platform(struct arena *a, plugin_msg *m)
{
	struct platform host = platform_host();
	platform_msg *p = ARENA_NEW(a, platform_msg);

	containerd__types__platform__init(p);
	p->os = arena_strdup(a, host.os);
	p->architecture = arena_strdup(a, host.arch);
	p->variant = arena_strdup(a, host.variant);
	m->platforms = arena_memdup(a, &p, sizeof p);
	m->n_platforms = 1;
}

static plugin_msg *new_plugin(struct arena *a, const char *type, const char *id)
{
	plugin_msg *m = ARENA_NEW(a, plugin_msg);

	containerd__services__introspection__v1__plugin__init(m);
	m->type = (char *)type;
	m->id = arena_strdup(a, id);
	return m;
}

static void set_export(struct arena *a, plugin_msg *m, const char *key, const char *value)
{
	struct label one = { key, value };
	struct labels l = { &one, 1 };

	CONV_SET_LABELS(a, m, exports, &l,
			containerd__services__introspection__v1__plugin__exports_entry);
}

/* Where clients of this machine find what the daemon and the shims keep beside the records. */
static void set_task_exports(struct arena *a, plugin_msg *m, const struct engine *en)
{
	const struct config *c = en->cfg;
	bool is_own = tasks_shim_is_own(en->tasks, "io.containerd.runc.v2");
	struct label v[] = {
		{ "history", history_root(c, a) },         { "logs", history_log_root(c, a) },
		{ "networks", network_root(c, a) },        { "shim", is_own ? "own" : "foreign" },
		{ "publish-address", c->publish_address }, { "publish-policy", c->publish_policy }
	};
	struct labels l = { v, ARRAY_LEN(v) };

	CONV_SET_LABELS(a, m, exports, &l,
			containerd__services__introspection__v1__plugin__exports_entry);
}

static plugin_msg *plain_plugin(struct arena *a, const struct plugin *p, const struct engine *en)
{
	plugin_msg *m = new_plugin(a, p->type, p->id);

	while (p->requires[m->n_requires])
		m->n_requires++;
	m->requires = arena_array(a, m->n_requires, sizeof *m->requires);
	memcpy(m->requires, p->requires, m->n_requires * sizeof *m->requires);
	while (p->capabilities[m->n_capabilities])
		m->n_capabilities++;
	m->capabilities = (char **)p->capabilities;
	if (p->has_platform)
		set_platform(a, m);
	if (strcmp(p->type, CONTENT) == 0)
		set_export(a, m, "root", arena_printf(a, "%s/" CONTENT ".content", en->cfg->root));
	if (strcmp(p->type, RUNTIME) == 0)
		set_task_exports(a, m, en);
	if (strcmp(p->type, INTERNAL) == 0)
		set_export(a, m, "path", en->cfg->opt_path);
	if (strcmp(p->type, METADATA) == 0)
		set_export(a, m, "path", arena_printf(a, "%s/" METADATA ".lmdb", en->cfg->root));
	return m;
}

/* One that cannot work here is listed with its reason, which clients skip. */
static plugin_msg *snapshotter(struct arena *a, const struct snapshotter_state *s)
{
	plugin_msg *m = new_plugin(a, SNAPSHOTTER, s->name);

	set_platform(a, m);
	if (s->root)
		set_export(a, m, "root", s->root);
	while (s->capabilities[m->n_capabilities])
		m->n_capabilities++;
	m->capabilities = arena_memdup(a, s->capabilities, sizeof s->capabilities);
	if (s->error && *s->error) {
		m->init_err = ARENA_NEW(a, Google__Rpc__Status);
		google__rpc__status__init(m->init_err);
		m->init_err->code = ERR_UNKNOWN;
		m->init_err->message = arena_printf(a, "%s: skip plugin", s->error);
	}
	return m;
}

static const char *get_field(const void *obj, const char *const *path, size_t n)
{
	const plugin_msg *m = obj;

	if (n == 1 && strcmp(path[0], "type") == 0)
		return m->type;
	if (n == 1 && strcmp(path[0], "id") == 0)
		return *m->id ? m->id : NULL;
	return NULL;
}

/* All of them, in the order in which the daemon opens them. */
static plugin_msg **list_plugins(struct engine *en, struct arena *a, size_t *ret_n)
{
	static const char *const types[] = { [CONFIG_PROXY_CONTENT] = CONTENT,
					     [CONFIG_PROXY_DIFF] = DIFFER,
					     [CONFIG_PROXY_SANDBOX] = SANDBOX_CONTROLLER };
	const struct snapshotter_state *states;
	size_t n = 0, n_states = snapshotter_list(en->store, &states);
	const struct config *cfg = en->cfg;
	plugin_msg **v = arena_array(a, ARRAY_LEN(plugins) + n_states + cfg->n_services, sizeof *v);

	for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
		if (is_served(plugins[i].grpc_service) &&
		    (strcmp(plugins[i].type, NRI) != 0 || en->nri) &&
		    !config_plugin_is_disabled(en->cfg, plugins[i].type, plugins[i].id))
			v[n++] = plain_plugin(a, &plugins[i], en);
		/* Snapshotters come before the metadata that needs them. */
		for (size_t k = 0; i == 1 && k < n_states; k++)
			v[n++] = snapshotter(a, &states[k]);
	}
	for (size_t i = 0; i < cfg->n_services; i++) {
		const struct config_proxy *p = &cfg->services[i];

		v[n] = new_plugin(a, types[p->type], p->name);
		set_export(a, v[n++], "address", p->address);
	}
	*ret_n = n;
	return v;
}

static bool is_working(plugin_msg **v, size_t n, const char *uri)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(v[i]->type);

		if (!v[i]->init_err && !strncmp(uri, v[i]->type, len) && uri[len] == '.' &&
		    !strcmp(uri + len + 1, v[i]->id))
			return true;
	}
	return false;
}

int plugins_check_required(struct engine *en, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str missing = STR_INIT(800);
	size_t n;
	plugin_msg **v = list_plugins(en, a, &n);

	for (size_t i = 0; i < en->cfg->n_required_plugins; i++)
		if (!is_working(v, n, en->cfg->required_plugins[i]))
			str_addf(&missing, "%s%s", missing.len ? " " : "",
				 en->cfg->required_plugins[i]);
	return missing.len || missing.over
		       ? err_set(e, ERR_FAILED_PRECONDITION, "required plugin [%s] not included",
				 str_c(&missing))
		       : 0;
}

static int list(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Introspection__V1__PluginsRequest *q = req;
	Containerd__Services__Introspection__V1__PluginsResponse *r = rsp;
	AUTO_FILTER struct filter_set *filters = NULL;
	size_t n;

	if (filter_compile(CONV_FILTERS(q), &filters, e) < 0)
		return -1;
	r->plugins = list_plugins(api_engine(c), c->arena, &n);
	for (size_t i = 0; i < n; i++)
		if (filter_match(filters, get_field, r->plugins[i]))
			r->plugins[r->n_plugins++] = r->plugins[i];
	return 0;
}

static int server(struct rpc_call *c, UNUSED const void *req, void *rsp, struct err *e)
{
	Containerd__Services__Introspection__V1__ServerResponse *r = rsp;
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0)
		return err_sys(e, errno, "stat /proc/self/ns/pid");
	r->uuid = api_engine(c)->uuid;
	r->pid = (uint64_t)getpid();
	r->pidns = st.st_ino;
	return 0;
}

/* Only the runtime has more to say: what the shim behind a name or path answers. */
static int extra_info(struct rpc_call *c,
		      const Containerd__Services__Introspection__V1__PluginInfoRequest *q,
		      Containerd__Services__Introspection__V1__PluginInfoResponse *r, struct err *e)
{
	Containerd__Types__RuntimeRequest *ask = NULL;
	uint8_t *options = NULL;
	size_t n = 0;
	struct any found;

	if (strcmp(q->type, RUNTIME) != 0)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "plugin %.200s.%.200s doesn't support extra info request", q->type,
			       q->id);
	if (str_ends(q->options->type_url, "containerd.types.RuntimeRequest"))
		ask = containerd__types__runtime_request__unpack(NULL, q->options->value.len,
								 q->options->value.data);
	if (!ask)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "options are no containerd.types.RuntimeRequest");
	if (ask->options) {
		n = google__protobuf__any__get_packed_size(ask->options);
		options = arena_alloc(c->arena, n);
		google__protobuf__any__pack(ask->options, options);
	}
	const char *path = arena_strdup(c->arena, ask->runtime_path);
	containerd__types__runtime_request__free_unpacked(ask, NULL);
	if (tasks_shim_info(api_engine(c)->tasks, *path ? path : api_engine(c)->cfg->runtime,
			    options, n, c->arena, &found, e) < 0)
		return -1;
	r->extra = conv_to_any(c->arena, &found);
	return 0;
}

static int info(struct rpc_call *c, const void *req, void *rsp, struct err *e)
{
	const Containerd__Services__Introspection__V1__PluginInfoRequest *q = req;
	Containerd__Services__Introspection__V1__PluginInfoResponse *r = rsp;
	size_t n;
	plugin_msg **v = list_plugins(api_engine(c), c->arena, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i]->type, q->type) == 0 && strcmp(v[i]->id, q->id) == 0) {
			r->plugin = v[i];
			return q->options && *q->options->type_url ? extra_info(c, q, r, e) : 0;
		}
	return err_set(e, ERR_NOT_FOUND, "plugin %.200s.%.200s", q->type, q->id);
}

#define MESSAGE(name) containerd__services__introspection__v1__##name
const struct rpc_method introspection_methods[] = {
	RPC_UNARY("Plugins", MESSAGE(plugins_request), MESSAGE(plugins_response), list),
	RPC_UNARY_IMMEDIATE("Server", google__protobuf__empty, MESSAGE(server_response), server),
	RPC_UNARY("PluginInfo", MESSAGE(plugin_info_request), MESSAGE(plugin_info_response), info),
	RPC_END,
};
