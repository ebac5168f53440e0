/* Is the node ready?  What kubelet asks every few seconds. */
#include "cri/private.h"
#include "engine/network.h"

#include <string.h>

typedef Runtime__V1__RuntimeCondition condition_msg;
typedef Runtime__V1__RuntimeHandler handler_msg;

enum { CONDITIONS = 3 };

static condition_msg *condition_new(struct arena *a, const char *type, bool is_met,
				    const char *reason, const char *message)
{
	condition_msg *m = ARENA_NEW(a, condition_msg);

	runtime__v1__runtime_condition__init(m);
	m->type = (char *)type;
	m->status = is_met;
	m->reason = (char *)reason;
	m->message = (char *)message;
	return m;
}

static condition_msg *network_condition(struct cri *cri, struct arena *a)
{
	struct err e = { 0 };

	if (network_ready(cri->en->network, &e) == 0)
		return condition_new(a, "NetworkReady", true, "", "");
	return condition_new(a, "NetworkReady", false, "NetworkPluginNotReady",
			     arena_printf(a, "Network plugin returns error: %s", e.msg));
}

static handler_msg *handler_new(struct cri *cri, struct arena *a, const char *name)
{
	const struct handler_features f = cri_features(cri, name);
	handler_msg *m = ARENA_NEW(a, handler_msg);

	runtime__v1__runtime_handler__init(m);
	m->name = (char *)name;
	m->features = ARENA_NEW(a, Runtime__V1__RuntimeHandlerFeatures);
	runtime__v1__runtime_handler_features__init(m->features);
	m->features->recursive_read_only_mounts = f.has_rro;
	m->features->user_namespaces = f.has_userns;
	return m;
}

/* Each runtime by its name, and the default one as "", which is how a pod without a runtime class
 * asks for it. */
static void add_handlers(struct cri *cri, struct arena *a, Runtime__V1__StatusResponse *r)
{
	const struct config *cfg = cri->en->cfg;
	bool has_default = false;

	r->runtime_handlers = arena_alloc(a, (cfg->n_runtimes + 2) * sizeof *r->runtime_handlers);
	r->runtime_handlers[r->n_runtime_handlers++] = handler_new(cri, a, "");
	for (size_t i = 0; i < cfg->n_runtimes; i++) {
		has_default |= !strcmp(cfg->runtimes[i].name, CRI_RUNTIME);
		r->runtime_handlers[r->n_runtime_handlers++] =
			handler_new(cri, a, cfg->runtimes[i].name);
	}
	if (!has_default)
		r->runtime_handlers[r->n_runtime_handlers++] = handler_new(cri, a, CRI_RUNTIME);
}

/* For people: what the service goes by. */
static const char *config_text(struct cri *cri, struct arena *a)
{
	const struct config *cfg = cri->en->cfg;
	AUTO_STR struct str out = STR_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "containerd");
	jsonw_object(&w);
	jsonw_kstring(&w, "defaultRuntimeName", cfg->cri.default_runtime);
	jsonw_kstring(&w, "snapshotter", cfg->snapshotter);
	jsonw_key(&w, "runtimes");
	jsonw_object(&w);
	for (size_t i = 0; i < cfg->n_runtimes; i++) {
		jsonw_key(&w, cfg->runtimes[i].name);
		jsonw_object(&w);
		jsonw_kstring(&w, "runtimeType", cfg->runtimes[i].type ?: "");
		jsonw_kstring(&w, "runtimePath", cfg->runtimes[i].path ?: "");
		jsonw_end(&w);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_key(&w, "cni");
	jsonw_object(&w);
	jsonw_kstring(&w, "confDir", cfg->cni_conf_dir);
	jsonw_end(&w);
	jsonw_kbool(&w, "enableUnprivilegedPorts", cfg->cri.unprivileged_ports);
	jsonw_kbool(&w, "enableUnprivilegedICMP", cfg->cri.unprivileged_icmp);
	jsonw_kbool(&w, "enableSelinux", cfg->cri.enable_selinux);
	jsonw_ku64(&w, "maxContainerLogLineSize", cfg->cri.log_line_max);
	jsonw_kstring(&w, "containerdEndpoint", cfg->grpc.address);
	jsonw_kstring(&w, "rootDir", cri->root);
	jsonw_kstring(&w, "stateDir", cri->state);
	jsonw_end(&w);
	return arena_strdup(a, str_c(&out));
}

static void add_info(struct arena *a, CRI(StatusResponse) * r, const char *key, const char *value)
{
	CRI(StatusResponse__InfoEntry) *entry = ARENA_NEW(a, CRI(StatusResponse__InfoEntry));

	runtime__v1__status_response__info_entry__init(entry);
	entry->key = (char *)key;
	entry->value = (char *)value;
	r->info[r->n_info++] = entry;
}

/* In JSON, as all of a verbose answer's values are. */
static const char *network_text(struct cri *cri, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(8192);
	struct err e = { 0 };

	jsonw_quote(&out, network_ready(cri->en->network, &e) == 0 ? "OK" : e.msg);
	return arena_strdup(a, str_c(&out));
}

void cri_status(struct cri *cri, struct arena *a, bool is_verbose, Runtime__V1__StatusResponse *r)
{
	Runtime__V1__RuntimeStatus *s = ARENA_NEW(a, Runtime__V1__RuntimeStatus);

	runtime__v1__runtime_status__init(s);
	s->conditions = arena_alloc(a, CONDITIONS * sizeof *s->conditions);
	s->conditions[s->n_conditions++] = condition_new(a, "RuntimeReady", true, "", "");
	s->conditions[s->n_conditions++] = network_condition(cri, a);
	s->conditions[s->n_conditions++] =
		condition_new(a, "ContainerdHasNoDeprecationWarnings", true, "", "");
	r->status = s;
	add_handlers(cri, a, r);
	r->features = ARENA_NEW(a, Runtime__V1__RuntimeFeatures);
	runtime__v1__runtime_features__init(r->features);
	r->features->supplemental_groups_policy = true;
	if (!is_verbose)
		return;
	r->info = arena_array(a, 2, sizeof *r->info);
	add_info(a, r, "config", config_text(cri, a));
	add_info(a, r, "lastCNILoadStatus", network_text(cri, a));
}
