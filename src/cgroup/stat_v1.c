/* Statistics of a v1 cgroup, read from the files of its controllers. */
#include "base/num.h"
#include "cgroup/stat_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { HERTZ_NS = 10000000 /* USER_HZ is 100 */ };

int cgroup_v1_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

#define M(key, member)                                         \
	{                                                      \
		key, offsetof(struct cgroup_memory_v1, member) \
	}
static const struct stat_row memory_rows[] = {
	M("cache", cache),
	M("rss", rss),
	M("rss_huge", rss_huge),
	M("mapped_file", mapped_file),
	M("dirty", dirty),
	M("writeback", writeback),
	M("pgpgin", pg_pg_in),
	M("pgpgout", pg_pg_out),
	M("pgfault", pg_fault),
	M("pgmajfault", pg_maj_fault),
	M("inactive_anon", inactive_anon),
	M("active_anon", active_anon),
	M("inactive_file", inactive_file),
	M("active_file", active_file),
	M("unevictable", unevictable),
	M("hierarchical_memory_limit", hierarchical_memory_limit),
	M("hierarchical_memsw_limit", hierarchical_swap_limit),
	M("total_cache", total_cache),
	M("total_rss", total_rss),
	M("total_rss_huge", total_rss_huge),
	M("total_mapped_file", total_mapped_file),
	M("total_dirty", total_dirty),
	M("total_writeback", total_writeback),
	M("total_pgpgin", total_pg_pg_in),
	M("total_pgpgout", total_pg_pg_out),
	M("total_pgfault", total_pg_fault),
	M("total_pgmajfault", total_pg_maj_fault),
	M("total_inactive_anon", total_inactive_anon),
	M("total_active_anon", total_active_anon),
	M("total_inactive_file", total_inactive_file),
	M("total_active_file", total_active_file),
	M("total_unevictable", total_unevictable),
};
#undef M

static void entry(const struct cgroup_dir *dir, const char *name, struct cgroup_memory_entry *ret)
{
	const struct {
		const char *end;
		uint64_t *to;
	} rows[] = {
		{ "limit_in_bytes", &ret->limit },
		{ "usage_in_bytes", &ret->usage },
		{ "max_usage_in_bytes", &ret->max },
		{ "failcnt", &ret->failcnt },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char file[64];

		snprintf(file, sizeof file, "memory.%s%s", name, rows[i].end);
		(void)cg_read_u64(dir->fd, file, rows[i].to); /* absent: 0 */
	}
}

static void stat_memory(const struct cgroup_dir *dir, struct arena *a, struct cgroup_stat *ret)
{
	struct cgroup_memory_v1 *m = &ret->memory_v1;
	const char *text = stat_text(dir->fd, "memory.stat", a);

	stat_rows(text, memory_rows, ARRAY_LEN(memory_rows), m);
	stat_counters(text, a, &ret->memory_raw);
	entry(dir, "", &m->usage);
	entry(dir, "memsw.", &m->swap);
	entry(dir, "kmem.", &m->kernel);
	entry(dir, "kmem.tcp.", &m->kernel_tcp);
	text = stat_text(dir->fd, "memory.oom_control", a);
	(void)cg_text_u64(text, "oom_kill_disable", &m->oom_kill_disable);
	(void)cg_text_u64(text, "under_oom", &m->under_oom);
	(void)cg_text_u64(text, "oom_kill", &m->oom_kill);
}

static void numbers(const char *text, struct arena *a, uint64_t **ret, size_t *ret_n)
{
	char *save = NULL, *list = arena_strdup(a, text);
	size_t room = 1;

	for (const char *p = list; *p; p++)
		room += *p == ' ' || *p == '\n';
	*ret = arena_array(a, room, sizeof **ret);
	*ret_n = 0;
	for (char *s = strtok_r(list, " \n", &save); s; s = strtok_r(NULL, " \n", &save))
		if (num_u64(s, &(*ret)[*ret_n]) == 0)
			++*ret_n;
}

/* "cpu user system", then a line of three numbers a processor. */
static void stat_modes(const char *text, struct arena *a, struct cgroup_cpu_v1 *c)
{
	const char *rest = strchr(text, '\n');
	uint64_t *v;
	size_t n;

	if (!rest)
		return;
	numbers(rest, a, &v, &n);
	c->n_per_cpu_modes = n / 3;
	c->per_cpu_user = arena_array(a, n, sizeof *c->per_cpu_user);
	c->per_cpu_kernel = arena_array(a, n, sizeof *c->per_cpu_kernel);
	for (size_t i = 0; i < n / 3; i++) {
		c->per_cpu_user[i] = v[3 * i + 1];
		c->per_cpu_kernel[i] = v[3 * i + 2];
	}
}

static void stat_cpuacct(const struct cgroup_dir *dir, struct arena *a, struct cgroup_cpu_v1 *c)
{
	const char *text = stat_text(dir->fd, "cpuacct.stat", a);

	(void)cg_read_u64(dir->fd, "cpuacct.usage", &c->total);
	if (cg_text_u64(text, "user", &c->user))
		c->user *= HERTZ_NS;
	if (cg_text_u64(text, "system", &c->kernel))
		c->kernel *= HERTZ_NS;
	numbers(stat_text(dir->fd, "cpuacct.usage_percpu", a), a, &c->per_cpu, &c->n_per_cpu);
	stat_modes(stat_text(dir->fd, "cpuacct.usage_all", a), a, c);
}

static void stat_cpuset(const struct cgroup_dir *dir, struct arena *a, struct cgroup_cpuset *ret)
{
	const struct {
		const char *file;
		uint64_t *to;
	} rows[] = {
		{ "cpuset.cpu_exclusive", &ret->cpu_exclusive },
		{ "cpuset.mem_hardwall", &ret->mem_hardwall },
		{ "cpuset.mem_exclusive", &ret->mem_exclusive },
		{ "cpuset.memory_migrate", &ret->memory_migrate },
		{ "cpuset.memory_spread_page", &ret->memory_spread_page },
		{ "cpuset.memory_spread_slab", &ret->memory_spread_slab },
		{ "cpuset.memory_pressure", &ret->memory_pressure },
		{ "cpuset.sched_load_balance", &ret->sched_load_balance },
	};
	char level[32];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		(void)cg_read_u64(dir->fd, rows[i].file, rows[i].to); /* absent: 0 */
	if (cg_read(dir->fd, "cpuset.sched_relax_domain_level", level, sizeof level) < 0 ||
	    num_i64(level, &ret->sched_relax_domain_level) < 0)
		ret->sched_relax_domain_level = 0;
	stat_cpu_list(stat_text(dir->fd, "cpuset.cpus", a), a, &ret->cpus, &ret->n_cpus);
	stat_cpu_list(stat_text(dir->fd, "cpuset.mems", a), a, &ret->mems, &ret->n_mems);
}

static void stat_cpu(const struct cgroup_dir *dir, struct arena *a, struct cgroup_cpu_v1 *c)
{
	const char *text = stat_text(dir->fd, "cpu.stat", a);

	(void)cg_text_u64(text, "nr_periods", &c->periods);
	(void)cg_text_u64(text, "nr_throttled", &c->throttled_periods);
	(void)cg_text_u64(text, "throttled_time", &c->throttled_time);
}

/* "8:0 Read 4096", "8:0 16"; lines of other forms ("Total 0") are left out. */
static bool parse_blkio(struct arena *a, char *line, struct cgroup_blkio_entry *ret)
{
	char *save = NULL, *number = strtok_r(line, " ", &save);
	char *op = strtok_r(NULL, " ", &save), *value = strtok_r(NULL, " ", &save);
	char *minor = number ? strchr(number, ':') : NULL;

	if (!minor || !op)
		return false;
	*minor++ = 0;
	if (num_u64(number, &ret->major) < 0 || num_u64(minor, &ret->minor) < 0 ||
	    num_u64(value ? value : op, &ret->value) < 0)
		return false;
	ret->op = value ? arena_strdup(a, op) : "";
	return true;
}

/* false: there is no such file, or nothing in it. */
static bool read_blkio(const struct cgroup_dir *dir, const char *file, struct arena *a,
		       struct cgroup_blkio *ret)
{
	char *text = arena_strdup(a, stat_text(dir->fd, file, a)), *save = NULL;
	size_t room = 1;

	for (const char *p = text; *p; p++)
		room += *p == '\n';
	ret->v = arena_array(a, room, sizeof *ret->v);
	ret->n = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (ret->n < room && parse_blkio(a, line, &ret->v[ret->n]))
			ret->n++;
	return ret->n;
}

/* The BFQ scheduler's files, CFQ's of old kernels, the throttler's: the first group that has what
 * it begins with is the one that counts. */
static void stat_blkio(const struct cgroup_dir *dir, struct arena *a, struct cgroup_stat *ret)
{
	struct cgroup_blkio *const all[] = { &ret->io_sectors,   &ret->io_service_time,
					     &ret->io_wait_time, &ret->io_merged,
					     &ret->io_queued,    &ret->io_time,
					     &ret->io_serviced,  &ret->io_service_bytes };
	static const char *const names[] = { "sectors",     "io_service_time", "io_wait_time",
					     "io_merged",   "io_queued",       "time",
					     "io_serviced", "io_service_bytes" };
	static const struct {
		const char *start, *end;
		size_t first; /* of names */
	} groups[] = {
		{ "blkio.bfq.", "_recursive", 0 }, { "blkio.bfq.", "_recursive", 6 },
		{ "blkio.", "_recursive", 0 },     { "blkio.throttle.", "_recursive", 6 },
		{ "blkio.throttle.", "", 6 },
	};

	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		for (size_t i = groups[g].first; i < ARRAY_LEN(names); i++) {
			const char *file =
				arena_printf(a, "%s%s%s", groups[g].start, names[i], groups[g].end);

			if (!read_blkio(dir, file, a, all[i]) && i == groups[g].first)
				break;
			if (i == ARRAY_LEN(names) - 1)
				return;
		}
}

/* The controller's folder while it is there. */
static const struct cgroup_dir *live(const struct cgroup *cg, unsigned controller)
{
	const struct cgroup_dir *dir = cgroup_find(cg, controller);

	return dir && dir->fd >= 0 ? dir : NULL;
}

static void stat_pids(const struct cgroup_dir *dir, struct cgroup_stat *ret)
{
	(void)cg_read_u64(dir->fd, "pids.current", &ret->pids_current); /* absent: 0 */
	if (cg_read_u64(dir->fd, "pids.max", &ret->pids_limit) < 0 || ret->pids_limit == UINT64_MAX)
		ret->pids_limit = 0;
}

int cgroup_v1_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret, struct err *e)
{
	const struct cgroup_dir *memory = live(cg, CG_MEMORY), *pids = live(cg, CG_PIDS);
	const struct cgroup_dir *cpu = live(cg, CG_CPU), *cpuacct = live(cg, CG_CPUACCT);
	const struct cgroup_dir *blkio = live(cg, CG_BLKIO), *any = cgroup_main_dir(cg);
	const struct cgroup_dir *cpuset = live(cg, CG_CPUSET), *rdma = live(cg, CG_RDMA);
	const struct cgroup_dir *hugetlb = live(cg, CG_HUGETLB);

	if (!any || any->fd < 0)
		return err_set(e, ERR_NOT_FOUND, "the cgroup is gone");
	ret->has_memory = memory;
	ret->has_pids = pids;
	ret->has_cpu = cpuacct;
	ret->has_io = blkio;
	if (memory)
		stat_memory(memory, a, ret);
	if (cpuacct)
		stat_cpuacct(cpuacct, a, &ret->cpu_v1);
	if (cpu)
		stat_cpu(cpu, a, &ret->cpu_v1);
	if (pids)
		stat_pids(pids, ret);
	if (blkio)
		stat_blkio(blkio, a, ret);
	if (cpuset)
		stat_cpuset(cpuset, a, &ret->cpuset);
	if (hugetlb)
		stat_hugetlb(hugetlb->fd, hugetlb->is_v2, a, ret);
	if (rdma)
		stat_rdma(rdma->fd, a, ret);
	return 0;
}
