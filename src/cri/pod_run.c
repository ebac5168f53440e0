/* RunPodSandbox: files, record, first process with its network; all of it undone when a step fails.
 */
#include "base/log.h"
#include "cri/private.h"
#include "engine/network.h"
#include "engine/nri.h"
#include "net/publish.h"

#include <errno.h>
#include <string.h>

enum { NAME_MAX_BYTES = 4096 };

#define METADATA_URL "github.com/containerd/cri/pkg/store/sandbox/Metadata"

/* --- what the network is asked for --- */

static const char *protocol_name(CRI(Protocol) p)
{
	return p == RUNTIME__V1__PROTOCOL__UDP    ? "udp"
	       : p == RUNTIME__V1__PROTOCOL__SCTP ? "sctp"
						  : "tcp";
}

static void put_ports(struct jsonw *w, const CRI(PodSandboxConfig) * c)
{
	jsonw_key(w, "portMappings");
	jsonw_array(w);
	for (size_t i = 0; i < c->n_port_mappings; i++) {
		const CRI(PortMapping) *p = c->port_mappings[i];

		if (p->host_port <= 0)
			continue;
		jsonw_object(w);
		jsonw_ki64(w, "hostPort", p->host_port);
		jsonw_ki64(w, "containerPort", p->container_port);
		jsonw_kstring(w, "protocol", protocol_name(p->protocol));
		if (*p->host_ip)
			jsonw_kstring(w, "hostIP", p->host_ip);
		jsonw_end(w);
	}
	jsonw_end(w);
}

static void put_words(struct jsonw *w, const char *key, size_t n, char *const *v)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_string(w, v[i]);
	jsonw_end(w);
}

static void put_dns(struct jsonw *w, const CRI(DNSConfig) * d)
{
	jsonw_key(w, "dns");
	jsonw_object(w);
	put_words(w, "servers", d->n_servers, d->servers);
	put_words(w, "searches", d->n_searches, d->searches);
	put_words(w, "options", d->n_options, d->options);
	jsonw_end(w);
}

/* The annotations that say how fast a pod may be, and what plugins call it. */
static const struct {
	const char *annotation, *rate, *burst;
} limits[] = {
	{ "kubernetes.io/ingress-bandwidth", "ingressRate", "ingressBurst" },
	{ "kubernetes.io/egress-bandwidth", "egressRate", "egressBurst" },
};

/* "10M": bits a second; 0: nobody says so. */
static int rate_of(const CRI(PodSandboxConfig) * c, size_t i, uint64_t *ret, struct err *e)
{
	const char *text = message_map_get(MESSAGE_MAP(c, annotations), limits[i].annotation);

	*ret = 0;
	if (!text || publish_parse_rate(text, ret) == 0)
		return 0;
	return err_set(
		e, ERR_INVALID_ARGUMENT,
		"failed to get bandwidth info from annotations: %s: invalid rate \"%.100s\", "
		"bits a second such as \"10M\"",
		limits[i].annotation, text);
}

static int check_bandwidth(const CRI(PodSandboxConfig) * c, struct err *e)
{
	uint64_t rate;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if (rate_of(c, i, &rate, e) < 0)
			return -1;
	return 0;
}

static void put_bandwidth(struct jsonw *w, const CRI(PodSandboxConfig) * c)
{
	uint64_t rate[ARRAY_LEN(limits)];
	struct err checked = { 0 }; /* by check_bandwidth() */
	bool has_any = false;

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		has_any |= rate_of(c, i, &rate[i], &checked) == 0 && rate[i];
	if (!has_any)
		return;
	jsonw_key(w, "bandwidth");
	jsonw_object(w);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (!rate[i])
			continue;
		jsonw_ku64(w, limits[i].rate, rate[i]);
		jsonw_ku64(w, limits[i].burst, INT32_MAX);
	}
	jsonw_end(w);
}

static const char *network_args(const struct pod *pod, struct arena *a)
{
	const CRI(PodSandboxMetadata) *m = pod->config->metadata;

	return arena_printf(a,
			    "IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;"
			    "K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
			    m->namespace_, m->name, pod->id, m->uid);
}

/* Plugins get these in one string of "K=V;K=V": nothing of them may be a pair of its own. */
static int check_metadata(const CRI(PodSandboxMetadata) * m, struct err *e)
{
	const char *const all[] = { m->name, m->namespace_, m->uid };

	if (!*m->name || !*m->namespace_ || !*m->uid)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "sandbox metadata must have a name, a namespace and a uid");
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (strpbrk(all[i], ";=/\n") || strlen(all[i]) > NAME_MAX_BYTES)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "sandbox metadata \"%.80s\" has characters that may not be "
				       "in it",
				       all[i]);
	return 0;
}

static struct any wishes_of(const struct pod *pod, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_key(&w, "capabilityArgs");
	jsonw_object(&w);
	put_ports(&w, pod->config);
	put_bandwidth(&w, pod->config);
	if (pod->config->dns_config)
		put_dns(&w, pod->config->dns_config);
	jsonw_end(&w);
	if (pod->config->dns_config)
		put_dns(&w, pod->config->dns_config);
	jsonw_kstring(&w, "args", network_args(pod, a));
	jsonw_kbool(&w, "isLenient", true);
	jsonw_end(&w);
	return (struct any){ NETWORK_TYPE_URL, arena_memdup(a, str_c(&out), out.len), out.len };
}

/* --- the record --- */

/* What `ctr -n k8s.io containers info` and tools for containerd's own records look at. */
static struct any metadata_of(const struct pod *pod, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(4 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "Version", "v1");
	jsonw_key(&w, "Metadata");
	jsonw_object(&w);
	jsonw_kstring(&w, "ID", pod->id);
	jsonw_kstring(&w, "Name", pod->name);
	jsonw_key(&w, "Config");
	message_json(&pod->config->base, &w);
	if (!pod_has_host(pod, OCI_NS_NETWORK))
		jsonw_kstring(&w, "NetNSPath",
			      network_netns(pod->cri->en->network, CRI_NAMESPACE, pod->id, a));
	jsonw_kstring(&w, "RuntimeHandler", pod->request->runtime_handler);
	jsonw_end(&w);
	jsonw_end(&w);
	return (struct any){ METADATA_URL, arena_memdup(a, str_c(&out), out.len), out.len };
}

/* What the daemon itself goes by: restarts, the collection, what kind of record it is. */
static bool is_reserved(const char *key)
{
	return str_starts(key, "containerd.io/") || str_starts(key, "io.cri-containerd.");
}

/* A tenant chooses a pod's labels, and those of a record say more than a pod's; they have a bound,
 * too, that kubelet's do not have. */
struct labels cri_labels(struct arena *a, size_t n, const void *entries, const char *kind)
{
	struct labels in = message_map_labels(a, n, entries), out = { 0 };
	struct err bad = { 0 };

	for (size_t i = 0; i < in.n; i++) {
		const struct labels one = { &in.v[i], 1 };

		if (!*in.v[i].value || is_reserved(in.v[i].key))
			continue;
		if (labels_check(&one, &bad) == 0)
			labels_set(a, &out, in.v[i].key, in.v[i].value);
		err_clear(&bad);
	}
	labels_set(a, &out, KIND_LABEL, kind);
	return out;
}

static int make_record(struct pod *pod, struct arena *a, struct container_record *ret,
		       struct err *e)
{
	struct any request = message_pack(a, &pod->request->base);
	struct extension *x = arena_array(a, 3, sizeof *x);
	struct container_record in = { .id = pod->id, .extensions = { x, 2 } };
	struct call call = cri_call(pod->cri, a, NULL);

	x[0] = (struct extension){ "io.cri-containerd.sandbox.metadata", metadata_of(pod, a) };
	x[1] = (struct extension){ EXTENSION_POD, request };
	if (!pod_has_host(pod, OCI_NS_NETWORK) && check_bandwidth(pod->config, e) < 0)
		return -1;
	if (!pod_has_host(pod, OCI_NS_NETWORK))
		x[in.extensions.n++] = (struct extension){ NETWORK_EXTENSION, wishes_of(pod, a) };
	in.labels = cri_labels(a, MESSAGE_MAP(pod->config, labels), "sandbox");
	if (*pod->level)
		labels_set(a, &in.labels, LEVEL_LABEL, pod->level);
	if (cri_set_runtime(pod->cri, pod->request->runtime_handler, a, &in, e) < 0 ||
	    pod_spec(pod, a, &in.spec, e) < 0)
		return err_wrap(e, "failed to generate sandbox container spec");
	if (container_create(call.engine->store, call.ns, a, &in, ret, e) < 0)
		return err_wrap(e, "failed to create containerd container");
	/* as the next daemon will say it */
	pod->created = ret->created.tv_sec * 1000000000ll + ret->created.tv_nsec;
	return 0;
}

/* --- running --- */

static void note_addresses(struct pod *pod)
{
	struct strv ips = { 0 };
	struct err e = { 0 };

	if (pod_has_host(pod, OCI_NS_NETWORK))
		return;
	if (network_addresses(pod->cri->en->network, CRI_NAMESPACE, pod->id, &ips, &e) < 0)
		log_warn(LOG({ "error", e.msg }, { "id", pod->id }),
			 "the pod's addresses cannot be read");
	pthread_mutex_lock(&pod->cri->lock);
	strv_done(&pod->ips);
	pod->ips = ips;
	pthread_mutex_unlock(&pod->cri->lock);
}

void pod_set_ready(struct pod *pod, uint32_t pid)
{
	struct process p = process_of(pid);

	note_addresses(pod);
	pthread_mutex_lock(&pod->cri->lock);
	pod->process = p;
	pod->is_ready = pod->is_made = true;
	pthread_mutex_unlock(&pod->cri->lock);
}

static int start(struct pod *pod, const struct call *call, const struct container_record *r,
		 struct err *e)
{
	static const char *options[] = { "rbind", "ro" };
	struct mount root = { "bind", pod->cri->pause_root, NULL, options, ARRAY_LEN(options) };
	struct task_new n = { .ns = call->ns,
			      .id = pod->id,
			      .runtime = r->runtime_name,
			      .spec = r->spec,
			      .options = r->runtime_options,
			      .rootfs = { &root, 1 },
			      .io = { "", "", "", false } };
	AUTO_TASK struct task *t = NULL;
	struct err ignored = { 0 };
	uint32_t pid;

	if (engine_task_create(call, r, &n, &pid, e) < 0)
		return n.has_network_failed
			       ? err_wrap(e, "failed to setup network for sandbox \"%s\"", pod->id)
			       : err_wrap(e, "failed to create containerd task");
	if (task_get(call->engine->tasks, call->ns, pod->id, &t, e) < 0)
		return -1;
	if (engine_task_start(call, t, NULL, &pid, e) < 0) {
		err_wrap(e, "failed to start sandbox container task \"%s\"", pod->id);
		(void)cri_end_task(call, t, &ignored); /* the start's failure is told */
		return -1;
	}
	pod_set_ready(pod, pid);
	pod_watch(pod, t);
	return 0;
}

static int make(struct pod *pod, struct arena *a, struct cancel *c, struct err *e)
{
	const struct call call = cri_call(pod->cri, a, c);
	struct container_record r;
	struct err ignored = { 0 };

	if (pod_files_make(pod, e) < 0)
		return -1;
	if (make_record(pod, a, &r, e) < 0)
		return -1;
	if (start(pod, &call, &r, e) == 0)
		return 0;
	(void)container_delete(call.engine->store, call.ns, pod->id, &ignored); /* likewise */
	return -1;
}

int cri_run_pod(struct cri *cri, struct arena *a, struct cancel *c,
		const CRI(RunPodSandboxRequest) * q, CRI(RunPodSandboxResponse) * ret,
		struct err *e)
{
	AUTO_POD struct pod *pod = NULL;
	char id[ID_SIZE];
	int r;

	if (!q->config || !q->config->metadata)
		return err_set(e, ERR_INVALID_ARGUMENT, "sandbox config must include metadata");
	if (check_metadata(q->config->metadata, e) < 0)
		return -1;
	cri_new_id(id);
	pod = pod_new(cri, id, q);
	if (pod_add(pod, e) < 0)
		return -1;
	selinux_assign(pod);
	pthread_mutex_lock(&pod->turn);
	r = make(pod, a, c, e);
	pthread_mutex_unlock(&pod->turn);
	if (r < 0) {
		pod_drop(pod);
		pod_files_remove(pod);
		return err_wrap(e, "failed to create pod sandbox");
	}
	cri_tell(cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_CREATED_EVENT, pod, pod->id);
	cri_tell(cri, RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STARTED_EVENT, pod, pod->id);
	ret->pod_sandbox_id = arena_strdup(a, pod->id);
	return 0;
}
