/* Lists and states of pods and their containers. */
#include "cri/private.h"

#include <string.h>

/* A message's map is handed on as it is: all have the same entries under different names. */
#define HAND_ON(to, from, field)                     \
	do {                                         \
		(to)->n_##field = (from)->n_##field; \
		(to)->field = (void *)(from)->field; \
	} while (0)

/* --- pods --- */

static CRI(PodSandboxState) pod_state(struct pod *pod)
{
	pthread_mutex_lock(&pod->cri->lock);
	bool is_ready = pod->is_ready;

	pthread_mutex_unlock(&pod->cri->lock);
	return is_ready ? RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY
			: RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
}

static bool pod_is_wanted(struct pod *pod, const CRI(PodSandboxFilter) * f)
{
	if (!f)
		return true;
	return str_starts(pod->id, f->id) && (!f->state || f->state->state == pod_state(pod)) &&
	       message_map_has(MESSAGE_MAP(pod->config, labels), MESSAGE_MAP(f, label_selector));
}

static CRI(PodSandbox) * pod_item(struct pod *pod, struct arena *a)
{
	CRI(PodSandbox) *m = CRI_NEW(a, PodSandbox, pod_sandbox);

	m->id = (char *)pod->id;
	m->metadata = pod->config->metadata;
	m->state = pod_state(pod);
	m->created_at = pod->created;
	HAND_ON(m, pod->config, labels);
	HAND_ON(m, pod->config, annotations);
	m->runtime_handler = pod->request->runtime_handler;
	return m;
}

void cri_list_pods(struct cri *cri, struct arena *a, const CRI(PodSandboxFilter) * f,
		   struct cri_hold *h, CRI(ListPodSandboxResponse) * ret)
{
	hold_pods(cri, h);
	ret->items = arena_array(a, h->n_pods + 1, sizeof *ret->items);
	for (size_t i = 0; i < h->n_pods; i++)
		if (pod_is_wanted(h->pods[i], f))
			ret->items[ret->n_items++] = pod_item(h->pods[i], a);
}

static CRI(PodSandboxNetworkStatus) * pod_network(struct pod *pod, struct arena *a)
{
	CRI(PodSandboxNetworkStatus) *n =
		CRI_NEW(a, PodSandboxNetworkStatus, pod_sandbox_network_status);

	pthread_mutex_lock(&pod->cri->lock);
	n->additional_ips = arena_array(a, pod->ips.n + 1, sizeof *n->additional_ips);
	for (size_t i = 0; i < pod->ips.n; i++) {
		char *ip = arena_strdup(a, pod->ips.v[i]);

		if (!i) {
			n->ip = ip;
			continue;
		}
		n->additional_ips[n->n_additional_ips] = CRI_NEW(a, PodIP, pod_ip);
		n->additional_ips[n->n_additional_ips++]->ip = ip;
	}
	pthread_mutex_unlock(&pod->cri->lock);
	return n;
}

static CRI(LinuxPodSandboxStatus) * pod_linux(const struct pod *pod, struct arena *a)
{
	CRI(LinuxPodSandboxStatus) *l = CRI_NEW(a, LinuxPodSandboxStatus, linux_pod_sandbox_status);
	const CRI(LinuxPodSandboxConfig) *c = pod->config->linux;
	CRI(NamespaceOption) *o = CRI_NEW(a, NamespaceOption, namespace_option);

	l->namespaces = CRI_NEW(a, Namespace, namespace);
	l->namespaces->options = o;
	if (c && c->security_context && c->security_context->namespace_options)
		*o = *c->security_context->namespace_options;
	return l;
}

CRI(PodSandboxStatus) * pod_status(struct pod *pod, struct arena *a)
{
	CRI(PodSandboxStatus) *m = CRI_NEW(a, PodSandboxStatus, pod_sandbox_status);

	m->id = (char *)pod->id;
	m->metadata = pod->config->metadata;
	m->state = pod_state(pod);
	m->created_at = pod->created;
	m->network = pod_network(pod, a);
	m->linux = pod_linux(pod, a);
	HAND_ON(m, pod->config, labels);
	HAND_ON(m, pod->config, annotations);
	m->runtime_handler = pod->request->runtime_handler;
	return m;
}

/* --- containers --- */

struct box_now {
	CRI(ContainerState) state;
	int64_t started, finished;
	int32_t exit_code;
	uint32_t pid;
	const char *reason, *message;
};

static struct box_now now_of(struct box *box, struct arena *a)
{
	pthread_mutex_lock(&box->pod->cri->lock);
	struct box_now n = { box->state,
			     box->started,
			     box->finished,
			     box->exit_code,
			     box->process.pid,
			     box->reason,
			     box->message ? arena_strdup(a, box->message) : "" };

	pthread_mutex_unlock(&box->pod->cri->lock);
	return n;
}

static CRI(ImageSpec) * image_spec(const struct box *box, struct arena *a)
{
	CRI(ImageSpec) *s = CRI_NEW(a, ImageSpec, image_spec);

	if (box->config->image)
		*s = *box->config->image;
	return s;
}

static CRI(Container) * box_item(struct box *box, struct arena *a)
{
	CRI(Container) *m = CRI_NEW(a, Container, container);

	m->id = (char *)box->id;
	m->pod_sandbox_id = (char *)box->pod->id;
	m->metadata = box->config->metadata;
	m->image = image_spec(box, a);
	m->image_ref = (char *)box->image_ref;
	m->image_id = (char *)box->image_id;
	m->state = now_of(box, a).state;
	m->created_at = box->created;
	HAND_ON(m, box->config, labels);
	HAND_ON(m, box->config, annotations);
	return m;
}

static bool box_is_wanted(struct box *box, const CRI(ContainerFilter) * f, struct arena *a)
{
	if (!f)
		return true;
	return str_starts(box->id, f->id) && str_starts(box->pod->id, f->pod_sandbox_id) &&
	       (!f->state || f->state->state == now_of(box, a).state) &&
	       message_map_has(MESSAGE_MAP(box->config, labels), MESSAGE_MAP(f, label_selector));
}

void cri_list_boxes(struct cri *cri, struct arena *a, const CRI(ContainerFilter) * f,
		    struct cri_hold *h, CRI(ListContainersResponse) * ret)
{
	hold_boxes(cri, NULL, h);
	ret->containers = arena_array(a, h->n_boxes + 1, sizeof *ret->containers);
	for (size_t i = 0; i < h->n_boxes; i++)
		if (box_is_wanted(h->boxes[i], f, a))
			ret->containers[ret->n_containers++] = box_item(h->boxes[i], a);
}

static CRI(ContainerResources) * box_resources(struct box *box, struct arena *a)
{
	CRI(ContainerResources) *r = CRI_NEW(a, ContainerResources, container_resources);

	pthread_mutex_lock(&box->pod->cri->lock);
	if (box->resources)
		r->linux = message_copy(a, &box->resources->base);
	pthread_mutex_unlock(&box->pod->cri->lock);
	return r->linux ? r : NULL;
}

CRI(ContainerStatus) * box_status(struct box *box, struct arena *a)
{
	CRI(ContainerStatus) *m = CRI_NEW(a, ContainerStatus, container_status);
	struct box_now n = now_of(box, a);

	m->id = (char *)box->id;
	m->metadata = box->config->metadata;
	m->state = n.state;
	m->created_at = box->created;
	m->started_at = n.started;
	m->finished_at = n.finished;
	m->exit_code = n.exit_code;
	m->image = image_spec(box, a);
	m->image_ref = (char *)box->image_ref;
	m->image_id = (char *)box->image_id;
	m->reason = (char *)n.reason;
	m->message = (char *)n.message;
	HAND_ON(m, box->config, labels);
	HAND_ON(m, box->config, annotations);
	HAND_ON(m, box->config, mounts);
	m->log_path = (char *)box->log_path;
	m->resources = box_resources(box, a);
	m->user = (CRI(ContainerUser) *)box->user;
	m->stop_signal = box->config->stop_signal;
	return m;
}

/* --- the calls --- */

static void set_info(struct arena *a, const char *text, CRI(PodSandboxStatusResponse) * ret)
{
	CRI(PodSandboxStatusResponse__InfoEntry) *entry =
		ARENA_NEW(a, CRI(PodSandboxStatusResponse__InfoEntry));

	runtime__v1__pod_sandbox_status_response__info_entry__init(entry);
	entry->key = (char *)"info";
	entry->value = (char *)text;
	ret->info = arena_memdup(a, &entry, sizeof entry);
	ret->n_info = 1;
}

/* The spec that the record has, as it is. */
static void put_spec(struct cri *cri, struct arena *a, const char *id, struct jsonw *w)
{
	struct container_record r;
	struct err e = { 0 };

	if (container_get(cri->en->store, CRI_NAMESPACE, a, id, &r, &e) < 0 || !r.spec.n)
		return;
	jsonw_kstring(w, "runtimeType", r.runtime_name);
	jsonw_kstring(w, "snapshotKey", r.snapshot_key);
	jsonw_kstring(w, "snapshotter", r.snapshotter);
	jsonw_key(w, "runtimeSpec");
	jsonw_raw(w, arena_strndup(a, r.spec.value, r.spec.n));
}

static const char *pod_info(struct pod *pod, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(8 << 20);
	struct jsonw w;

	pthread_mutex_lock(&pod->cri->lock);
	uint32_t pid = pod->process.pid;
	bool is_ready = pod->is_ready;

	pthread_mutex_unlock(&pod->cri->lock);
	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_ku64(&w, "pid", pid);
	jsonw_kstring(&w, "processStatus", is_ready ? "running" : "deleted");
	jsonw_kstring(&w, "image", CRI_PAUSE_IMAGE);
	jsonw_kstring(&w, "runtimeHandler", pod->request->runtime_handler);
	jsonw_key(&w, "config");
	message_json(&pod->config->base, &w);
	put_spec(pod->cri, a, pod->id, &w);
	jsonw_end(&w);
	return arena_strdup(a, out.over ? "{}" : str_c(&out));
}

int cri_pod_status(struct cri *cri, struct arena *a, const CRI(PodSandboxStatusRequest) * q,
		   struct cri_hold *h, CRI(PodSandboxStatusResponse) * ret, struct err *e)
{
	struct pod *pod = pod_find(cri, q->pod_sandbox_id, e);

	if (!pod)
		return -1;
	hold_boxes(cri, pod, h);
	h->pods = xcalloc(1, sizeof *h->pods);
	h->pods[0] = pod;
	h->n_pods = 1;
	ret->status = pod_status(pod, a);
	ret->containers_statuses = arena_array(a, h->n_boxes + 1, sizeof *ret->containers_statuses);
	for (size_t i = 0; i < h->n_boxes; i++)
		ret->containers_statuses[ret->n_containers_statuses++] = box_status(h->boxes[i], a);
	ret->timestamp = cri_now();
	if (q->verbose)
		set_info(a, pod_info(pod, a), ret);
	return 0;
}

static const char *box_info(struct box *box, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(8 << 20);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "sandboxID", box->pod->id);
	jsonw_ku64(&w, "pid", now_of(box, a).pid);
	jsonw_key(&w, "config");
	message_json(&box->config->base, &w);
	put_spec(box->pod->cri, a, box->id, &w);
	jsonw_end(&w);
	return arena_strdup(a, out.over ? "{}" : str_c(&out));
}

int cri_box_status(struct cri *cri, struct arena *a, const CRI(ContainerStatusRequest) * q,
		   struct cri_hold *h, CRI(ContainerStatusResponse) * ret, struct err *e)
{
	struct box *box = box_find(cri, q->container_id, e);
	CRI(ContainerStatusResponse__InfoEntry) * entry;

	if (!box)
		return -1;
	h->boxes = xcalloc(1, sizeof *h->boxes);
	h->boxes[0] = box;
	h->n_boxes = 1;
	ret->status = box_status(box, a);
	if (!q->verbose)
		return 0;
	entry = ARENA_NEW(a, CRI(ContainerStatusResponse__InfoEntry));
	runtime__v1__container_status_response__info_entry__init(entry);
	entry->key = (char *)"info";
	entry->value = (char *)box_info(box, a);
	ret->info = arena_memdup(a, &entry, sizeof entry);
	ret->n_info = 1;
	return 0;
}
