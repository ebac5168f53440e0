/* The documents that `runc events` prints: its types, fields and their order are the original's. */
#include "cmd/runc/events.h"

#include "base/jsonw.h"

#include <string.h>

/* A number that Go leaves out when it is 0. */
static void opt(struct jsonw *w, const char *key, uint64_t v)
{
	if (v)
		jsonw_ku64(w, key, v);
}

static void list_u64(struct jsonw *w, const char *key, const uint64_t *v, size_t n)
{
	if (!n)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_u64(w, v[i]);
	jsonw_end(w);
}

static void list_u16(struct jsonw *w, const char *key, const uint16_t *v, size_t n)
{
	if (!n)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		jsonw_u64(w, v[i]);
	jsonw_end(w);
}

static void object(struct jsonw *w, const char *key)
{
	jsonw_key(w, key);
	jsonw_object(w);
}

/* 1230 → 12.3: the shortest text, as Go writes a float */
static void put_hundredths(struct jsonw *w, const char *key, uint32_t v)
{
	char text[24];

	snprintf(text, sizeof text,
		 v % 100 == 0  ? "%u"
		 : v % 10 == 0 ? "%u.%u"
			       : "%u.%02u",
		 v / 100, v % 10 == 0 ? v % 100 / 10 : v % 100);
	jsonw_key(w, key);
	jsonw_raw(w, text);
}

static void put_pressure_line(struct jsonw *w, const char *key,
			      const struct cgroup_pressure_line *l)
{
	object(w, key);
	put_hundredths(w, "avg10", l->avg10);
	put_hundredths(w, "avg60", l->avg60);
	put_hundredths(w, "avg300", l->avg300);
	jsonw_ku64(w, "total", l->total);
	jsonw_end(w);
}

static void put_pressure(struct jsonw *w, const struct cgroup_pressure *p)
{
	if (!p->has)
		return;
	object(w, "psi");
	put_pressure_line(w, "some", &p->some);
	put_pressure_line(w, "full", &p->full);
	jsonw_end(w);
}

enum { NS_PER_US = 1000 };

static void put_cpu(struct jsonw *w, const struct cgroup_stat *s)
{
	bool is_v2 = s->layout == CGROUP_V2;
	const struct cgroup_cpu_v1 *c1 = &s->cpu_v1;
	const struct cgroup_cpu_v2 *c2 = &s->cpu_v2;

	object(w, "cpu");
	object(w, "usage");
	opt(w, "total", is_v2 ? c2->usage_usec * NS_PER_US : c1->total);
	list_u64(w, "percpu", c1->per_cpu, c1->n_per_cpu);
	list_u64(w, "percpu_kernel", c1->per_cpu_kernel, c1->n_per_cpu_modes);
	list_u64(w, "percpu_user", c1->per_cpu_user, c1->n_per_cpu_modes);
	jsonw_ku64(w, "kernel", is_v2 ? c2->system_usec * NS_PER_US : c1->kernel);
	jsonw_ku64(w, "user", is_v2 ? c2->user_usec * NS_PER_US : c1->user);
	jsonw_end(w);
	object(w, "throttling");
	opt(w, "periods", is_v2 ? c2->nr_periods : c1->periods);
	opt(w, "throttledPeriods", is_v2 ? c2->nr_throttled : c1->throttled_periods);
	opt(w, "throttledTime", is_v2 ? c2->throttled_usec * NS_PER_US : c1->throttled_time);
	jsonw_end(w);
	put_pressure(w, &s->cpu_pressure);
	jsonw_end(w);
}

static void put_cpuset(struct jsonw *w, const struct cgroup_cpuset *c)
{
	object(w, "cpuset");
	list_u16(w, "cpus", c->cpus, c->n_cpus);
	jsonw_ku64(w, "cpu_exclusive", c->cpu_exclusive);
	list_u16(w, "mems", c->mems, c->n_mems);
	jsonw_ku64(w, "mem_hardwall", c->mem_hardwall);
	jsonw_ku64(w, "mem_exclusive", c->mem_exclusive);
	jsonw_ku64(w, "memory_migrate", c->memory_migrate);
	jsonw_ku64(w, "memory_spread_page", c->memory_spread_page);
	jsonw_ku64(w, "memory_spread_slab", c->memory_spread_slab);
	jsonw_ku64(w, "memory_pressure", c->memory_pressure);
	jsonw_ku64(w, "sched_load_balance", c->sched_load_balance);
	jsonw_ki64(w, "sched_relax_domain_level", c->sched_relax_domain_level);
	jsonw_end(w);
}

static void put_memory_entry(struct jsonw *w, const char *key, const struct cgroup_memory_entry *m)
{
	object(w, key);
	jsonw_ku64(w, "limit", m->limit);
	opt(w, "usage", m->usage);
	opt(w, "max", m->max);
	jsonw_ku64(w, "failcnt", m->failcnt);
	jsonw_end(w);
}

/* v2's swap does not count memory, v1's and this format's does. */
static void as_v1(const struct cgroup_memory_v2 *m, struct cgroup_memory_v1 *ret)
{
	*ret = (struct cgroup_memory_v1){
		.cache = m->file,
		.usage = { .limit = m->usage_limit, .usage = m->usage, .max = m->max_usage },
		.swap = { .limit = m->swap_limit, .usage = m->swap_usage + m->usage },
	};
	if (m->swap_limit != UINT64_MAX)
		ret->swap.limit += m->usage_limit;
}

static void put_memory(struct jsonw *w, const struct cgroup_stat *s)
{
	struct cgroup_memory_v1 m = s->memory_v1;

	if (s->layout == CGROUP_V2)
		as_v1(&s->memory_v2, &m);
	object(w, "memory");
	opt(w, "cache", m.cache);
	put_memory_entry(w, "usage", &m.usage);
	put_memory_entry(w, "swap", &m.swap);
	put_memory_entry(w, "kernel", &m.kernel);
	put_memory_entry(w, "kernelTCP", &m.kernel_tcp);
	if (s->memory_raw.n) {
		object(w, "raw");
		for (size_t i = 0; i < s->memory_raw.n; i++)
			jsonw_ku64(w, s->memory_raw.v[i].key, s->memory_raw.v[i].value);
		jsonw_end(w);
	}
	put_pressure(w, &s->memory_pressure);
	jsonw_end(w);
}

static void put_entry(struct jsonw *w, uint64_t major, uint64_t minor, const char *op,
		      uint64_t value)
{
	jsonw_object(w);
	opt(w, "major", major);
	opt(w, "minor", minor);
	if (*op)
		jsonw_kstring(w, "op", op);
	opt(w, "value", value);
	jsonw_end(w);
}

static void put_io_list(struct jsonw *w, const char *key, const struct cgroup_stat *s, bool is_ops)
{
	if (!s->n_io)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < s->n_io; i++) {
		const struct cgroup_io *io = &s->io[i];

		put_entry(w, io->major, io->minor, "Read", is_ops ? io->rios : io->rbytes);
		put_entry(w, io->major, io->minor, "Write", is_ops ? io->wios : io->wbytes);
	}
	jsonw_end(w);
}

static void put_blkio_list(struct jsonw *w, const char *key, const struct cgroup_blkio *b)
{
	if (!b->n)
		return;
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < b->n; i++)
		put_entry(w, b->v[i].major, b->v[i].minor, b->v[i].op, b->v[i].value);
	jsonw_end(w);
}

static void put_blkio(struct jsonw *w, const struct cgroup_stat *s)
{
	object(w, "blkio");
	if (s->layout == CGROUP_V2) {
		put_io_list(w, "ioServiceBytesRecursive", s, false);
		put_io_list(w, "ioServicedRecursive", s, true);
	} else {
		put_blkio_list(w, "ioServiceBytesRecursive", &s->io_service_bytes);
		put_blkio_list(w, "ioServicedRecursive", &s->io_serviced);
		put_blkio_list(w, "ioQueueRecursive", &s->io_queued);
		put_blkio_list(w, "ioServiceTimeRecursive", &s->io_service_time);
		put_blkio_list(w, "ioWaitTimeRecursive", &s->io_wait_time);
		put_blkio_list(w, "ioMergedRecursive", &s->io_merged);
		put_blkio_list(w, "ioTimeRecursive", &s->io_time);
		put_blkio_list(w, "sectorsRecursive", &s->io_sectors);
	}
	put_pressure(w, &s->io_pressure);
	jsonw_end(w);
}

/* Reserved pages are what counts where the kernel counts them. */
static void put_hugetlb(struct jsonw *w, const struct cgroup_stat *s)
{
	bool is_v2 = s->layout == CGROUP_V2;

	object(w, "hugetlb");
	for (size_t i = 0; i < s->n_hugetlb; i++) {
		const struct cgroup_hugetlb *h = &s->hugetlb[i];
		bool reserved = h->has_reserved;

		object(w, h->page_size);
		opt(w, "usage", reserved ? h->reserved : h->usage);
		if (!is_v2) /* v2's "max" is a limit, this one a peak */
			opt(w, "max", reserved ? h->reserved_max : h->max);
		jsonw_ku64(w, "failcnt", reserved && !is_v2 ? h->reserved_failcnt : h->failcnt);
		jsonw_end(w);
	}
	jsonw_end(w);
}

void event_stats(const char *id, const struct cgroup_stat *s, struct str *line)
{
	struct jsonw w;

	jsonw_init(&w, line, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "type", "stats");
	jsonw_kstring(&w, "id", id);
	object(&w, "data");
	put_cpu(&w, s);
	put_cpuset(&w, &s->cpuset);
	put_memory(&w, s);
	object(&w, "pids");
	opt(&w, "current", s->pids_current);
	opt(&w, "limit", s->pids_limit);
	jsonw_end(&w);
	put_blkio(&w, s);
	put_hugetlb(&w, s);
	object(&w, "intel_rdt");
	jsonw_end(&w);
	jsonw_key(&w, "network_interfaces");
	jsonw_string(&w,
		     NULL); /* runc knows them of its own veth pairs only, which no spec makes */
	jsonw_end(&w);
	jsonw_end(&w);
	str_addc(line, '\n');
}

void event_oom(const char *id, struct str *line)
{
	struct jsonw w;

	jsonw_init(&w, line, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "type", "oom");
	jsonw_kstring(&w, "id", id);
	jsonw_end(&w);
	str_addc(line, '\n');
}

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "ns", 1 },       { "us", 1000 },      { "µs", 1000 },       { "μs", 1000 },
	{ "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
};

/* One "1.5h" at *p. */
static bool parse_part(const char **p, double *ret)
{
	const char *s = *p;
	double v = 0, place = 1;
	size_t digits = 0, n;

	for (; *s >= '0' && *s <= '9'; s++, digits++)
		v = v * 10 + (*s - '0');
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, digits++)
			v += (*s - '0') * (place /= 10);
	n = strcspn(s, ".0123456789");
	for (size_t i = 0; digits && i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == n && memcmp(units[i].name, s, n) == 0) {
			*ret += v * (double)units[i].ns;
			*p = s + n;
			return true;
		}
	return false;
}

bool duration_parse(const char *text, uint64_t *ret, bool *ret_negative)
{
	double ns = 0;

	*ret_negative = *text == '-';
	text += *text == '-' || *text == '+';
	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return true;
	}
	if (!*text)
		return false;
	while (*text)
		if (!parse_part(&text, &ns))
			return false;
	if (ns >= 0x1p63)
		return false;
	*ret = (uint64_t)ns;
	return true;
}
