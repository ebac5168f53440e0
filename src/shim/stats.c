/* Stats: the cgroup's numbers as io.containerd.cgroups.v1.Metrics or v2.Metrics.
 * cgroup/ keeps them under the messages' own names, so that copying is a list of names. */
#include "shim/stats.h"

#include "base/mem.h"
#include "cgroup/stat.h"
#include "cgroups/v1/metrics.pb-c.h"
#include "cgroups/v2/metrics.pb-c.h"
#include "containerd/runtime/task/v3/shim.pb-c.h"
#include "shim/handlers.h"
#include "shim/task.h"

#define V1(name) Io__Containerd__Cgroups__V1__##name
#define V2(name) Io__Containerd__Cgroups__V2__##name

/* clang-format knows no end with such lists: each of its runs changes them again. */
/* clang-format off */
#define MEMORY_V1(X)                                                                             \
	X(cache)                                                                                 \
	X(rss)                                                                                   \
	X(rss_huge)                                                                              \
	X(mapped_file)                                                                           \
	X(dirty)                                                                                 \
	X(writeback)                                                                             \
	X(pg_pg_in)                                                                              \
	X(pg_pg_out)                                                                             \
	X(pg_fault) X(pg_maj_fault) X(inactive_anon) X(active_anon) X(inactive_file)             \
		X(active_file) X(unevictable) X(hierarchical_memory_limit) X(                    \
			hierarchical_swap_limit) X(total_cache) X(total_rss) X(total_rss_huge)   \
			X(total_mapped_file) X(total_dirty) X(total_writeback) X(total_pg_pg_in) \
				X(total_pg_pg_out) X(total_pg_fault) X(total_pg_maj_fault)       \
					X(total_inactive_anon) X(total_active_anon)              \
						X(total_inactive_file) X(total_active_file)      \
							X(total_unevictable)

#define MEMORY_V2(X)                                                                               \
	X(anon)                                                                                    \
	X(file)                                                                                    \
	X(kernel_stack)                                                                            \
	X(slab)                                                                                    \
	X(sock)                                                                                    \
	X(shmem)                                                                                   \
	X(file_mapped)                                                                             \
	X(file_dirty)                                                                              \
	X(file_writeback) X(anon_thp) X(inactive_anon) X(active_anon) X(inactive_file)             \
		X(active_file) X(unevictable) X(slab_reclaimable) X(slab_unreclaimable) X(pgfault) \
			X(pgmajfault) X(workingset_refault) X(workingset_activate)                 \
				X(workingset_nodereclaim) X(pgrefill) X(pgscan) X(pgsteal)         \
					X(pgactivate) X(pgdeactivate) X(pglazyfree) X(pglazyfreed) \
						X(thp_fault_alloc) X(thp_collapse_alloc) X(usage)  \
							X(usage_limit) X(swap_usage) X(swap_limit) \
								X(max_usage) X(swap_max_usage)

#define CPU_V2(X)     \
	X(usage_usec) \
	X(user_usec)  \
	X(system_usec) X(nr_periods) X(nr_throttled) X(throttled_usec) X(nr_bursts) X(burst_usec)

/* clang-format on */

static V1(MemoryEntry) * memory_entry(struct arena *a, const struct cgroup_memory_entry *from)
{
	V1(MemoryEntry) *m = ARENA_NEW(a, V1(MemoryEntry));

	io__containerd__cgroups__v1__memory_entry__init(m);
	m->limit = from->limit;
	m->usage = from->usage;
	m->max = from->max;
	m->failcnt = from->failcnt;
	return m;
}

static void memory_v1(struct arena *a, const struct cgroup_memory_v1 *from, V1(Metrics) * to)
{
	V1(MemoryStat) *m = ARENA_NEW(a, V1(MemoryStat));
	V1(MemoryOomControl) *oom = ARENA_NEW(a, V1(MemoryOomControl));

	io__containerd__cgroups__v1__memory_stat__init(m);
	io__containerd__cgroups__v1__memory_oom_control__init(oom);
#define COPY(name) m->name = from->name;
	MEMORY_V1(COPY)
#undef COPY
	m->usage = memory_entry(a, &from->usage);
	m->swap = memory_entry(a, &from->swap);
	m->kernel = memory_entry(a, &from->kernel);
	m->kernel_tcp = memory_entry(a, &from->kernel_tcp);
	oom->oom_kill_disable = from->oom_kill_disable;
	oom->under_oom = from->under_oom;
	oom->oom_kill = from->oom_kill;
	to->memory = m;
	to->memory_oom_control = oom;
}

static void cpu_v1(struct arena *a, const struct cgroup_cpu_v1 *from, V1(Metrics) * to)
{
	V1(CPUStat) *cpu = ARENA_NEW(a, V1(CPUStat));
	V1(CPUUsage) *u = ARENA_NEW(a, V1(CPUUsage));
	V1(Throttle) *t = ARENA_NEW(a, V1(Throttle));

	io__containerd__cgroups__v1__cpustat__init(cpu);
	io__containerd__cgroups__v1__cpuusage__init(u);
	io__containerd__cgroups__v1__throttle__init(t);
	u->total = from->total;
	u->kernel = from->kernel;
	u->user = from->user;
	u->per_cpu = from->per_cpu;
	u->n_per_cpu = from->n_per_cpu;
	t->periods = from->periods;
	t->throttled_periods = from->throttled_periods;
	t->throttled_time = from->throttled_time;
	cpu->usage = u;
	cpu->throttling = t;
	to->cpu = cpu;
}

static V1(BlkIOEntry) * *blkio_v1(struct arena *a, const struct cgroup_blkio *from)
{
	V1(BlkIOEntry) **v = arena_array(a, from->n + 1, sizeof *v);

	for (size_t i = 0; i < from->n; i++) {
		v[i] = ARENA_NEW(a, V1(BlkIOEntry));
		io__containerd__cgroups__v1__blk_ioentry__init(v[i]);
		v[i]->op = (char *)from->v[i].op;
		v[i]->major = from->v[i].major;
		v[i]->minor = from->v[i].minor;
		v[i]->value = from->v[i].value;
	}
	return v;
}

static void rdma_v1(struct arena *a, const struct cgroup_stat *s, V1(Metrics) * m)
{
	const struct cgroup_rdma *const from[] = { s->rdma_current, s->rdma_limit };
	V1(RdmaEntry) * *lists[2];

	for (size_t l = 0; l < ARRAY_LEN(from); l++) {
		lists[l] = arena_array(a, s->n_rdma + 1, sizeof **lists);
		for (size_t i = 0; i < s->n_rdma; i++) {
			V1(RdmaEntry) *x = lists[l][i] = ARENA_NEW(a, V1(RdmaEntry));

			io__containerd__cgroups__v1__rdma_entry__init(x);
			x->device = (char *)from[l][i].device;
			x->hca_handles = from[l][i].hca_handles;
			x->hca_objects = from[l][i].hca_objects;
		}
	}
	m->rdma = ARENA_NEW(a, V1(RdmaStat));
	io__containerd__cgroups__v1__rdma_stat__init(m->rdma);
	m->rdma->current = lists[0];
	m->rdma->limit = lists[1];
	m->rdma->n_current = m->rdma->n_limit = s->n_rdma;
}

static void metrics_v1(struct arena *a, const struct cgroup_stat *s, V1(Metrics) * m)
{
	V1(PidsStat) *pids = ARENA_NEW(a, V1(PidsStat));
	V1(BlkIOStat) *io = ARENA_NEW(a, V1(BlkIOStat));

	io__containerd__cgroups__v1__pids_stat__init(pids);
	io__containerd__cgroups__v1__blk_iostat__init(io);
	pids->current = s->pids_current;
	pids->limit = s->pids_limit;
#define BLKIO(to, from)                             \
	io->to##_recursive = blkio_v1(a, &s->from); \
	io->n_##to##_recursive = s->from.n
	BLKIO(io_service_bytes, io_service_bytes);
	BLKIO(io_serviced, io_serviced);
	BLKIO(io_queued, io_queued);
	BLKIO(io_service_time, io_service_time);
	BLKIO(io_wait_time, io_wait_time);
	BLKIO(io_merged, io_merged);
	BLKIO(io_time, io_time);
	BLKIO(sectors, io_sectors);
#undef BLKIO
	if (s->has_rdma)
		rdma_v1(a, s, m);
	if (s->has_pids)
		m->pids = pids;
	if (s->has_io)
		m->blkio = io;
	if (s->has_memory)
		memory_v1(a, &s->memory_v1, m);
	if (s->has_cpu)
		cpu_v1(a, &s->cpu_v1, m);
	m->hugetlb = arena_array(a, s->n_hugetlb + 1, sizeof *m->hugetlb);
	m->n_hugetlb = s->n_hugetlb;
	for (size_t i = 0; i < s->n_hugetlb; i++) {
		V1(HugetlbStat) *h = m->hugetlb[i] = ARENA_NEW(a, V1(HugetlbStat));

		io__containerd__cgroups__v1__hugetlb_stat__init(h);
		h->usage = s->hugetlb[i].usage;
		h->max = s->hugetlb[i].max;
		h->failcnt = s->hugetlb[i].failcnt;
		h->pagesize = (char *)s->hugetlb[i].page_size;
	}
}

static V2(PSIData) * pressure_line(struct arena *a, const struct cgroup_pressure_line *from)
{
	V2(PSIData) *d = ARENA_NEW(a, V2(PSIData));

	io__containerd__cgroups__v2__psidata__init(d);
	d->avg10 = from->avg10 / 100.0;
	d->avg60 = from->avg60 / 100.0;
	d->avg300 = from->avg300 / 100.0;
	d->total = from->total;
	return d;
}

static V2(PSIStats) * pressure(struct arena *a, const struct cgroup_pressure *from)
{
	V2(PSIStats) *p = ARENA_NEW(a, V2(PSIStats));

	if (!from->has)
		return NULL;
	io__containerd__cgroups__v2__psistats__init(p);
	p->some = pressure_line(a, &from->some);
	p->full = pressure_line(a, &from->full);
	return p;
}

static void rdma_v2(struct arena *a, const struct cgroup_stat *s, V2(Metrics) * m)
{
	const struct cgroup_rdma *const from[] = { s->rdma_current, s->rdma_limit };
	V2(RdmaEntry) * *lists[2];

	for (size_t l = 0; l < ARRAY_LEN(from); l++) {
		lists[l] = arena_array(a, s->n_rdma + 1, sizeof **lists);
		for (size_t i = 0; i < s->n_rdma; i++) {
			V2(RdmaEntry) *x = lists[l][i] = ARENA_NEW(a, V2(RdmaEntry));

			io__containerd__cgroups__v2__rdma_entry__init(x);
			x->device = (char *)from[l][i].device;
			x->hca_handles = from[l][i].hca_handles;
			x->hca_objects = from[l][i].hca_objects;
		}
	}
	m->rdma = ARENA_NEW(a, V2(RdmaStat));
	io__containerd__cgroups__v2__rdma_stat__init(m->rdma);
	m->rdma->current = lists[0];
	m->rdma->limit = lists[1];
	m->rdma->n_current = m->rdma->n_limit = s->n_rdma;
}

static void memory_v2(struct arena *a, const struct cgroup_memory_v2 *from, V2(Metrics) * to)
{
	V2(MemoryStat) *m = ARENA_NEW(a, V2(MemoryStat));
	V2(MemoryEvents) *ev = ARENA_NEW(a, V2(MemoryEvents));

	io__containerd__cgroups__v2__memory_stat__init(m);
	io__containerd__cgroups__v2__memory_events__init(ev);
#define COPY(name) m->name = from->name;
	MEMORY_V2(COPY)
#undef COPY
	ev->low = from->events.low;
	ev->high = from->events.high;
	ev->max = from->events.max;
	ev->oom = from->events.oom;
	ev->oom_kill = from->events.oom_kill;
	ev->oom_group_kill = from->events.oom_group_kill;
	to->memory = m;
	to->memory_events = ev;
}

static void io_v2(struct arena *a, const struct cgroup_stat *s, V2(Metrics) * m)
{
	V2(IOStat) *io = ARENA_NEW(a, V2(IOStat));

	io__containerd__cgroups__v2__iostat__init(io);
	io->usage = arena_array(a, s->n_io + 1, sizeof *io->usage);
	io->n_usage = s->n_io;
	for (size_t i = 0; i < s->n_io; i++) {
		V2(IOEntry) *x = io->usage[i] = ARENA_NEW(a, V2(IOEntry));

		io__containerd__cgroups__v2__ioentry__init(x);
		x->major = s->io[i].major;
		x->minor = s->io[i].minor;
		x->rbytes = s->io[i].rbytes;
		x->wbytes = s->io[i].wbytes;
		x->rios = s->io[i].rios;
		x->wios = s->io[i].wios;
	}
	m->io = io;
}

static void metrics_v2(struct arena *a, const struct cgroup_stat *s, V2(Metrics) * m)
{
	V2(PidsStat) *pids = ARENA_NEW(a, V2(PidsStat));
	V2(CPUStat) *cpu = ARENA_NEW(a, V2(CPUStat));

	io__containerd__cgroups__v2__pids_stat__init(pids);
	io__containerd__cgroups__v2__cpustat__init(cpu);
	pids->current = s->pids_current;
	pids->limit = s->pids_limit;
#define COPY(name) cpu->name = s->cpu_v2.name;
	CPU_V2(COPY)
#undef COPY
	if (s->has_pids)
		m->pids = pids;
	if (s->has_cpu)
		m->cpu = cpu;
	cpu->psi = pressure(a, &s->cpu_pressure);
	if (s->has_memory) {
		memory_v2(a, &s->memory_v2, m);
		m->memory->psi = pressure(a, &s->memory_pressure);
	}
	if (s->has_io) {
		io_v2(a, s, m);
		m->io->psi = pressure(a, &s->io_pressure);
	}
	if (s->has_rdma)
		rdma_v2(a, s, m);
	m->hugetlb = arena_array(a, s->n_hugetlb + 1, sizeof *m->hugetlb);
	m->n_hugetlb = s->n_hugetlb;
	for (size_t i = 0; i < s->n_hugetlb; i++) {
		V2(HugeTlbStat) *h = m->hugetlb[i] = ARENA_NEW(a, V2(HugeTlbStat));

		io__containerd__cgroups__v2__huge_tlb_stat__init(h);
		h->current = s->hugetlb[i].usage;
		h->max = s->hugetlb[i].max;
		h->failcnt = s->hugetlb[i].failcnt;
		h->pagesize = (char *)s->hugetlb[i].page_size;
	}
}

ProtobufCMessage *stats_of(struct container *c, struct arena *a, struct err *e)
{
	AUTO_CGROUP struct cgroup *cg = NULL;
	struct cgroup_stat s = { 0 };

	if (c->init.state == PROC_STOPPED) {
		err_set(e, ERR_NOT_FOUND, "cgroup does not exist");
		return NULL;
	}
	if (container_load_cgroup(c, &cg, e) < 0 || cgroup_stat(cg, a, &s, e) < 0)
		return NULL;
	if (s.layout == CGROUP_V2) {
		V2(Metrics) *m = ARENA_NEW(a, V2(Metrics));

		io__containerd__cgroups__v2__metrics__init(m);
		metrics_v2(a, &s, m);
		return &m->base;
	}
	V1(Metrics) *m = ARENA_NEW(a, V1(Metrics));

	io__containerd__cgroups__v1__metrics__init(m);
	metrics_v1(a, &s, m);
	return &m->base;
}

Google__Protobuf__Any *stats_pack(const ProtobufCMessage *m, struct arena *a)
{
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);

	google__protobuf__any__init(any);
	any->type_url = (char *)m->descriptor->name;
	any->value.len = protobuf_c_message_get_packed_size(m);
	any->value.data = arena_alloc(a, any->value.len + 1);
	protobuf_c_message_pack(m, any->value.data);
	return any;
}

void task_stats(struct ttrpc_call *call)
{
	const Containerd__Task__V3__StatsRequest *q = call->req;
	Containerd__Task__V3__StatsResponse r = CONTAINERD__TASK__V3__STATS_RESPONSE__INIT;
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct container *c = container_get(call->user, q->id, &e);
	ProtobufCMessage *m = c ? stats_of(c, a, &e) : NULL;

	if (!m) {
		ttrpc_fail(call, &e);
		return;
	}
	r.stats = stats_pack(m, a);
	ttrpc_reply(call, &r.base);
}
