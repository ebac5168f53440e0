/* Statistics of a v1 cgroup, read from the files of its controllers. */
#include "base/num.h"
#include "cgroup/private.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { TEXT_MAX = 16 << 20, HERTZ_NS = 10000000 /* USER_HZ is 100 */ };

int cgroup_v1_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

#define M(key, member)                                         \
	{                                                      \
		key, offsetof(struct cgroup_memory_v1, member) \
	}
static const struct {
	const char *key;
	size_t at;
} memory_rows[] = {
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

/* Whole text of a file in a text that lives in the arena; "" where there is none. */
static const char *text_of(const struct cgroup_dir *dir, const char *file, struct arena *a)
{
	AUTO_FREE char *text = NULL;
	size_t n;

	if (file_read(dir->fd, file, TEXT_MAX, &text, &n) < 0)
		return "";
	return arena_strndup(a, text, n);
}

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

static void stat_memory(const struct cgroup_dir *dir, struct arena *a, struct cgroup_memory_v1 *m)
{
	const char *text = text_of(dir, "memory.stat", a);

	for (size_t i = 0; i < ARRAY_LEN(memory_rows); i++)
		(void)cg_text_u64(text, memory_rows[i].key,
				  (uint64_t *)(void *)((char *)m + memory_rows[i].at));
	entry(dir, "", &m->usage);
	entry(dir, "memsw.", &m->swap);
	entry(dir, "kmem.", &m->kernel);
	entry(dir, "kmem.tcp.", &m->kernel_tcp);
	text = text_of(dir, "memory.oom_control", a);
	(void)cg_text_u64(text, "oom_kill_disable", &m->oom_kill_disable);
	(void)cg_text_u64(text, "under_oom", &m->under_oom);
	(void)cg_text_u64(text, "oom_kill", &m->oom_kill);
}

static void stat_cpuacct(const struct cgroup_dir *dir, struct arena *a, struct cgroup_cpu_v1 *c)
{
	const char *text = text_of(dir, "cpuacct.stat", a);
	char *save = NULL, *list;
	size_t room = 0;

	(void)cg_read_u64(dir->fd, "cpuacct.usage", &c->total);
	if (cg_text_u64(text, "user", &c->user))
		c->user *= HERTZ_NS;
	if (cg_text_u64(text, "system", &c->kernel))
		c->kernel *= HERTZ_NS;
	list = arena_strdup(a, text_of(dir, "cpuacct.usage_percpu", a));
	for (const char *p = list; *p; p++)
		room += *p == ' ';
	c->per_cpu = arena_array(a, room + 1, sizeof *c->per_cpu);
	for (char *s = strtok_r(list, " \n", &save); s; s = strtok_r(NULL, " \n", &save))
		if (c->n_per_cpu <= room && num_u64(s, &c->per_cpu[c->n_per_cpu]) == 0)
			c->n_per_cpu++;
}

static void stat_cpu(const struct cgroup_dir *dir, struct arena *a, struct cgroup_cpu_v1 *c)
{
	const char *text = text_of(dir, "cpu.stat", a);

	(void)cg_text_u64(text, "nr_periods", &c->periods);
	(void)cg_text_u64(text, "nr_throttled", &c->throttled_periods);
	(void)cg_text_u64(text, "throttled_time", &c->throttled_time);
}

/* "8:0 Read 4096", and lines of other forms ("Total 0"), which are left out. */
static bool parse_blkio(struct arena *a, char *line, struct cgroup_blkio_entry *ret)
{
	char *save = NULL, *number = strtok_r(line, " ", &save);
	char *op = strtok_r(NULL, " ", &save), *value = strtok_r(NULL, " ", &save);
	char *minor = number ? strchr(number, ':') : NULL;

	if (!minor || !op || !value)
		return false;
	*minor++ = 0;
	if (num_u64(number, &ret->major) < 0 || num_u64(minor, &ret->minor) < 0 ||
	    num_u64(value, &ret->value) < 0)
		return false;
	ret->op = arena_strdup(a, op);
	return true;
}

static void stat_blkio(const struct cgroup_dir *dir, const char *file, const char *other,
		       struct arena *a, struct cgroup_blkio *ret)
{
	const char *found = text_of(dir, file, a);
	char *text = arena_strdup(a, *found ? found : text_of(dir, other, a)), *save = NULL;
	size_t room = 0;

	for (const char *p = text; *p; p++)
		room += *p == '\n';
	ret->v = arena_array(a, room + 1, sizeof *ret->v);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (ret->n <= room && parse_blkio(a, line, &ret->v[ret->n]))
			ret->n++;
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

	if (!any || any->fd < 0)
		return err_set(e, ERR_NOT_FOUND, "the cgroup is gone");
	ret->has_memory = memory;
	ret->has_pids = pids;
	ret->has_cpu = cpuacct;
	ret->has_io = blkio;
	if (memory)
		stat_memory(memory, a, &ret->memory_v1);
	if (cpuacct)
		stat_cpuacct(cpuacct, a, &ret->cpu_v1);
	if (cpu)
		stat_cpu(cpu, a, &ret->cpu_v1);
	if (pids)
		stat_pids(pids, ret);
	if (blkio) {
		stat_blkio(blkio, "blkio.throttle.io_service_bytes_recursive",
			   "blkio.throttle.io_service_bytes", a, &ret->io_service_bytes);
		stat_blkio(blkio, "blkio.throttle.io_serviced_recursive",
			   "blkio.throttle.io_serviced", a, &ret->io_serviced);
	}
	return 0;
}
