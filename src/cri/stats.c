/* What pods and containers use: kubelet's figures, from the cgroups by their shims. */
#include "base/num.h"
#include "cri/private.h"
#include "os/file.h"

#include "cgroups/v1/metrics.pb-c.h"
#include "cgroups/v2/metrics.pb-c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { NET_DEV_MAX = 256 << 10, INTERFACES_MAX = 256, NET_DEV_FIELDS = 16 };

/* The same of both versions of cgroups. */
struct figures {
	uint64_t cpu_ns, memory, limit, inactive_file, rss, faults, major_faults, swap, swap_limit;
	uint64_t processes;
	int64_t at;
};

static void from_v1(const Io__Containerd__Cgroups__V1__Metrics *m, struct figures *f)
{
	if (m->cpu && m->cpu->usage)
		f->cpu_ns = m->cpu->usage->total;
	if (m->pids)
		f->processes = m->pids->current;
	if (!m->memory)
		return;
	f->inactive_file = m->memory->total_inactive_file;
	f->rss = m->memory->total_rss;
	f->faults = m->memory->total_pg_fault;
	f->major_faults = m->memory->total_pg_maj_fault;
	if (m->memory->usage) {
		f->memory = m->memory->usage->usage;
		f->limit = m->memory->usage->limit;
	}
	/* memory and swap together there */
	if (m->memory->swap && m->memory->swap->usage > f->memory)
		f->swap = m->memory->swap->usage - f->memory;
	if (m->memory->swap && m->memory->swap->limit > f->limit)
		f->swap_limit = m->memory->swap->limit - f->limit;
}

static void from_v2(const Io__Containerd__Cgroups__V2__Metrics *m, struct figures *f)
{
	if (m->cpu)
		f->cpu_ns = m->cpu->usage_usec * 1000;
	if (m->pids)
		f->processes = m->pids->current;
	if (!m->memory)
		return;
	f->memory = m->memory->usage;
	f->limit = m->memory->usage_limit;
	f->inactive_file = m->memory->inactive_file;
	f->rss = m->memory->anon;
	f->faults = m->memory->pgfault;
	f->major_faults = m->memory->pgmajfault;
	f->swap = m->memory->swap_usage;
	f->swap_limit = m->memory->swap_limit;
}

static int read_figures(struct cri *cri, const char *id, struct arena *a, struct figures *f,
			struct err *e)
{
	AUTO_TASK struct task *t = NULL;
	struct any any;
	const void *m;

	*f = (struct figures){ .at = cri_now() };
	if (task_get(cri->en->tasks, CRI_NAMESPACE, id, &t, e) < 0 || task_stats(t, a, &any, e) < 0)
		return -1;
	if (any.type_url && strstr(any.type_url, "v2")) {
		m = message_unpack(a, &io__containerd__cgroups__v2__metrics__descriptor, any.value,
				   any.n);
		if (m)
			from_v2(m, f);
	} else {
		m = message_unpack(a, &io__containerd__cgroups__v1__metrics__descriptor, any.value,
				   any.n);
		if (m)
			from_v1(m, f);
	}
	return m ? 0 : err_set(e, ERR_DATA_LOSS, "the figures of \"%s\" cannot be read", id);
}

static void add_figures(struct figures *sum, const struct figures *f)
{
	sum->cpu_ns += f->cpu_ns;
	sum->memory += f->memory;
	sum->inactive_file += f->inactive_file;
	sum->rss += f->rss;
	sum->faults += f->faults;
	sum->major_faults += f->major_faults;
	sum->processes += f->processes;
}

/* --- as messages --- */

static CRI(UInt64Value) * number(struct arena *a, uint64_t v)
{
	CRI(UInt64Value) *m = CRI_NEW(a, UInt64Value, uint64_value);

	m->value = v;
	return m;
}

static uint64_t less(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/* The speed since it was asked for last; nothing the first time. */
static CRI(CpuUsage) * cpu_message(struct arena *a, const struct figures *f, struct sample *last)
{
	CRI(CpuUsage) *m = CRI_NEW(a, CpuUsage, cpu_usage);

	m->timestamp = f->at;
	m->usage_core_nano_seconds = number(a, f->cpu_ns);
	if (last->at && f->at > last->at)
		m->usage_nano_cores = number(a, (uint64_t)((double)less(f->cpu_ns, last->cpu_ns) *
							   1e9 / (double)(f->at - last->at)));
	*last = (struct sample){ f->at, f->cpu_ns };
	return m;
}

static CRI(MemoryUsage) * memory_message(struct arena *a, const struct figures *f)
{
	CRI(MemoryUsage) *m = CRI_NEW(a, MemoryUsage, memory_usage);
	uint64_t working = less(f->memory, f->inactive_file);

	m->timestamp = f->at;
	m->working_set_bytes = number(a, working);
	/* a limit larger than any memory is none */
	m->available_bytes =
		number(a, f->limit && f->limit < INT64_MAX - 4096 ? less(f->limit, working) : 0);
	m->usage_bytes = number(a, f->memory);
	m->rss_bytes = number(a, f->rss);
	m->page_faults = number(a, f->faults);
	m->major_page_faults = number(a, f->major_faults);
	return m;
}

static CRI(SwapUsage) * swap_message(struct arena *a, const struct figures *f)
{
	CRI(SwapUsage) *m = CRI_NEW(a, SwapUsage, swap_usage);

	m->timestamp = f->at;
	m->swap_usage_bytes = number(a, f->swap);
	if (f->swap_limit && f->swap_limit < INT64_MAX - 4096)
		m->swap_available_bytes = number(a, less(f->swap_limit, f->swap));
	return m;
}

/* Nothing is measured in the call: zeros until there are figures, as containerd has it. */
static CRI(FilesystemUsage) * layer_message(struct box *box, struct arena *a)
{
	CRI(FilesystemUsage) *m = CRI_NEW(a, FilesystemUsage, filesystem_usage);
	const struct layer_usage u = box_layer_usage(box);

	m->timestamp = u.at ?: cri_now();
	m->fs_id = CRI_NEW(a, FilesystemIdentifier, filesystem_identifier);
	m->fs_id->mountpoint =
		arena_strdup(a, cri_snapshotter_root(box->pod->cri, box->snapshotter));
	m->used_bytes = number(a, u.bytes);
	m->inodes_used = number(a, u.inodes);
	return m;
}

static CRI(ContainerStats) * box_message(struct box *box, struct arena *a, struct figures *f)
{
	CRI(ContainerStats) *m = CRI_NEW(a, ContainerStats, container_stats);
	CRI(ContainerAttributes) *at = CRI_NEW(a, ContainerAttributes, container_attributes);
	struct err none = { 0 };

	at->id = (char *)box->id;
	at->metadata = box->config->metadata;
	at->n_labels = box->config->n_labels;
	at->labels = (void *)box->config->labels;
	at->n_annotations = box->config->n_annotations;
	at->annotations = (void *)box->config->annotations;
	m->attributes = at;
	m->writable_layer = layer_message(box, a);
	if (read_figures(box->pod->cri, box->id, a, f, &none) < 0)
		return m; /* it does not run */
	pthread_mutex_lock(&box->pod->cri->lock);
	m->cpu = cpu_message(a, f, &box->sample);
	pthread_mutex_unlock(&box->pod->cri->lock);
	m->memory = memory_message(a, f);
	m->swap = swap_message(a, f);
	return m;
}

/* --- network: of the pod's first process, as the kernel tells it --- */

/* "  eth0: 1 2 3 …": received bytes, packets, errors …; from the ninth on the sent ones. */
static CRI(NetworkInterfaceUsage) * interface_of(struct arena *a, char *line)
{
	CRI(NetworkInterfaceUsage) *m = CRI_NEW(a, NetworkInterfaceUsage, network_interface_usage);
	char *colon = strchr(line, ':'), *rest = colon ? colon + 1 : NULL, *word;
	uint64_t v[NET_DEV_FIELDS];
	size_t n = 0;

	if (!colon)
		return NULL;
	*colon = 0;
	while (n < NET_DEV_FIELDS && (word = strsep(&rest, " ")))
		if (*word && num_u64(word, &v[n++]) < 0)
			return NULL;
	if (n < NET_DEV_FIELDS)
		return NULL;
	m->name = arena_strdup(a, line + strspn(line, " "));
	m->rx_bytes = number(a, v[0]);
	m->rx_errors = number(a, v[2]);
	m->tx_bytes = number(a, v[8]);
	m->tx_errors = number(a, v[10]);
	return m;
}

static CRI(NetworkUsage) * network_message(struct pod *pod, uint32_t pid, struct arena *a)
{
	CRI(NetworkUsage) *m = CRI_NEW(a, NetworkUsage, network_usage);
	AUTO_FREE char *path = xasprintf("/proc/%u/net/dev", pid);
	AUTO_FREE char *text = NULL;
	char *rest, *line;

	if (pod_has_host(pod, OCI_NS_NETWORK) || !pid ||
	    file_read(AT_FDCWD, path, NET_DEV_MAX, &text, NULL) < 0)
		return NULL;
	m->timestamp = cri_now();
	m->interfaces = arena_array(a, INTERFACES_MAX, sizeof *m->interfaces);
	rest = text;
	while ((line = strsep(&rest, "\n")) && m->n_interfaces < INTERFACES_MAX) {
		CRI(NetworkInterfaceUsage) *i = interface_of(a, line);

		if (!i || !strcmp(i->name, "lo"))
			continue;
		if (!strcmp(i->name, "eth0"))
			m->default_interface = i;
		m->interfaces[m->n_interfaces++] = i;
	}
	return m;
}

static CRI(PodSandboxStats) * pod_message(struct pod *pod, struct arena *a, struct cri_hold *h)
{
	CRI(PodSandboxStats) *m = CRI_NEW(a, PodSandboxStats, pod_sandbox_stats);
	CRI(LinuxPodSandboxStats) *l = CRI_NEW(a, LinuxPodSandboxStats, linux_pod_sandbox_stats);
	CRI(PodSandboxAttributes) *at = CRI_NEW(a, PodSandboxAttributes, pod_sandbox_attributes);
	struct figures f, sum = { .at = cri_now() };
	struct err none = { 0 };

	at->id = (char *)pod->id;
	at->metadata = pod->config->metadata;
	at->n_labels = pod->config->n_labels;
	at->labels = (void *)pod->config->labels;
	at->n_annotations = pod->config->n_annotations;
	at->annotations = (void *)pod->config->annotations;
	m->attributes = at;
	m->linux = l;
	if (read_figures(pod->cri, pod->id, a, &f, &none) == 0)
		add_figures(&sum, &f);
	l->containers = arena_array(a, h->n_boxes + 1, sizeof *l->containers);
	for (size_t i = 0; i < h->n_boxes; i++) {
		if (h->boxes[i]->pod != pod)
			continue;
		f = (struct figures){ 0 };
		l->containers[l->n_containers++] = box_message(h->boxes[i], a, &f);
		add_figures(&sum, &f);
	}
	pthread_mutex_lock(&pod->cri->lock);
	uint32_t pid = pod->process.pid;

	l->cpu = cpu_message(a, &sum, &pod->sample);
	pthread_mutex_unlock(&pod->cri->lock);
	l->memory = memory_message(a, &sum);
	l->network = network_message(pod, pid, a);
	l->process = CRI_NEW(a, ProcessUsage, process_usage);
	l->process->timestamp = sum.at;
	l->process->process_count = number(a, sum.processes);
	return m;
}

/* --- the calls --- */

int cri_box_stats(struct cri *cri, struct arena *a, const char *id, struct cri_hold *h,
		  CRI(ContainerStats) * *ret, struct err *e)
{
	struct box *box = box_find(cri, id, e);
	struct figures f;

	if (!box)
		return err_wrap(e, "failed to find container");
	h->boxes = xcalloc(1, sizeof *h->boxes);
	h->boxes[0] = box;
	h->n_boxes = 1;
	*ret = box_message(box, a, &f);
	return 0;
}

void cri_list_box_stats(struct cri *cri, struct arena *a, const CRI(ContainerStatsFilter) * f,
			struct cri_hold *h, CRI(ListContainerStatsResponse) * ret)
{
	hold_boxes(cri, NULL, h);
	ret->stats = arena_array(a, h->n_boxes + 1, sizeof *ret->stats);
	for (size_t i = 0; i < h->n_boxes; i++) {
		struct box *b = h->boxes[i];
		struct figures figures;

		if (f && (!str_starts(b->id, f->id) || !str_starts(b->pod->id, f->pod_sandbox_id) ||
			  !message_map_has(MESSAGE_MAP(b->config, labels),
					   MESSAGE_MAP(f, label_selector))))
			continue;
		CRI(ContainerStats) *m = box_message(b, a, &figures);

		if (m->cpu) /* of those that run */
			ret->stats[ret->n_stats++] = m;
	}
}

int cri_pod_stats(struct cri *cri, struct arena *a, const char *id, struct cri_hold *h,
		  CRI(PodSandboxStats) * *ret, struct err *e)
{
	struct pod *pod = pod_find(cri, id, e);

	if (!pod)
		return err_wrap(e, "an error occurred when trying to find sandbox %.80s", id);
	hold_boxes(cri, pod, h);
	h->pods = xcalloc(1, sizeof *h->pods);
	h->pods[0] = pod;
	h->n_pods = 1;
	*ret = pod_message(pod, a, h);
	return 0;
}

void cri_list_pod_stats(struct cri *cri, struct arena *a, const CRI(PodSandboxStatsFilter) * f,
			struct cri_hold *h, CRI(ListPodSandboxStatsResponse) * ret)
{
	hold_pods(cri, h);
	hold_boxes(cri, NULL, h);
	ret->stats = arena_array(a, h->n_pods + 1, sizeof *ret->stats);
	for (size_t i = 0; i < h->n_pods; i++) {
		struct pod *p = h->pods[i];

		pthread_mutex_lock(&cri->lock);
		bool is_ready = p->is_ready;

		pthread_mutex_unlock(&cri->lock);
		if (is_ready && (!f || (str_starts(p->id, f->id) &&
					message_map_has(MESSAGE_MAP(p->config, labels),
							MESSAGE_MAP(f, label_selector)))))
			ret->stats[ret->n_stats++] = pod_message(p, a, h);
	}
}
