/* Statistics of a v2 cgroup, read from the files of its folder. */
#include "base/num.h"
#include "cgroup/stat_read.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int cgroup_v2_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

#define M(member)                                                  \
	{                                                          \
#member, offsetof(struct cgroup_memory_v2, member) \
	}
static const struct stat_row memory_rows[] = {
	M(anon),
	M(file),
	M(kernel_stack),
	M(slab),
	M(sock),
	M(shmem),
	M(file_mapped),
	M(file_dirty),
	M(file_writeback),
	{ "anon_thp", offsetof(struct cgroup_memory_v2, anon_thp) },
	M(inactive_anon),
	M(active_anon),
	M(inactive_file),
	M(active_file),
	M(unevictable),
	M(slab_reclaimable),
	M(slab_unreclaimable),
	M(pgfault),
	M(pgmajfault),
	{ "workingset_refault_file", offsetof(struct cgroup_memory_v2, workingset_refault) },
	{ "workingset_activate_file", offsetof(struct cgroup_memory_v2, workingset_activate) },
	M(workingset_nodereclaim),
	M(pgrefill),
	M(pgscan),
	M(pgsteal),
	M(pgactivate),
	M(pgdeactivate),
	M(pglazyfree),
	M(pglazyfreed),
	M(thp_fault_alloc),
	M(thp_collapse_alloc),
};

static const struct stat_row event_rows[] = {
	{ "low", offsetof(struct cgroup_memory_v2, events.low) },
	{ "high", offsetof(struct cgroup_memory_v2, events.high) },
	{ "max", offsetof(struct cgroup_memory_v2, events.max) },
	{ "oom", offsetof(struct cgroup_memory_v2, events.oom) },
	{ "oom_kill", offsetof(struct cgroup_memory_v2, events.oom_kill) },
	{ "oom_group_kill", offsetof(struct cgroup_memory_v2, events.oom_group_kill) },
};
#undef M

#define C(member)                                               \
	{                                                       \
#member, offsetof(struct cgroup_cpu_v2, member) \
	}
static const struct stat_row cpu_rows[] = {
	C(usage_usec),   C(user_usec),      C(system_usec), C(nr_periods),
	C(nr_throttled), C(throttled_usec), C(nr_bursts),   C(burst_usec),
};
#undef C

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static bool parse_io(char *line, struct cgroup_io *ret)
{
	char *save = NULL, *number = strtok_r(line, " ", &save), *word;
	char *minor = number ? strchr(number, ':') : NULL;
	const struct {
		const char *key;
		uint64_t *to;
	} rows[] = {
		{ "rbytes=", &ret->rbytes },
		{ "wbytes=", &ret->wbytes },
		{ "rios=", &ret->rios },
		{ "wios=", &ret->wios },
	};

	if (!minor)
		return false;
	*minor++ = 0;
	if (num_u64(number, &ret->major) < 0 || num_u64(minor, &ret->minor) < 0)
		return false;
	while ((word = strtok_r(NULL, " ", &save)))
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (str_starts(word, rows[i].key) &&
			    num_u64(word + strlen(rows[i].key), rows[i].to) < 0)
				return false;
	return true;
}

static bool stat_io(int dirfd, struct arena *a, struct cgroup_stat *ret)
{
	AUTO_FREE char *text = NULL;
	char *save = NULL;
	size_t room = 1;

	if (file_read(dirfd, "io.stat", STAT_TEXT_MAX, &text, NULL) < 0)
		return false;
	for (const char *p = text; *p; p++)
		room += *p == '\n';
	ret->io = arena_array(a, room, sizeof *ret->io);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (ret->n_io < room && parse_io(line, &ret->io[ret->n_io]))
			ret->n_io++;
	return true;
}

static void stat_memory(int fd, struct arena *a, struct cgroup_stat *ret)
{
	struct cgroup_memory_v2 *m = &ret->memory_v2;
	const char *text = stat_text(fd, "memory.stat", a);

	ret->has_memory = *text;
	if (!ret->has_memory)
		return;
	stat_rows(text, memory_rows, ARRAY_LEN(memory_rows), m);
	stat_counters(text, a, &ret->memory_raw);
	(void)cg_read_u64(fd, "memory.current", &m->usage); /* absent: 0, and so below */
	(void)cg_read_u64(fd, "memory.max", &m->usage_limit);
	(void)cg_read_u64(fd, "memory.peak", &m->max_usage);
	(void)cg_read_u64(fd, "memory.swap.current", &m->swap_usage);
	(void)cg_read_u64(fd, "memory.swap.max", &m->swap_limit);
	(void)cg_read_u64(fd, "memory.swap.peak", &m->swap_max_usage);
	stat_rows(stat_text(fd, "memory.events", a), event_rows, ARRAY_LEN(event_rows), m);
}

static void stat_pids(int fd, struct arena *a, struct cgroup_stat *ret)
{
	ret->has_pids = cg_read_u64(fd, "pids.current", &ret->pids_current) == 0;
	if (!ret->has_pids) { /* no controller: the list is as good */
		for (const char *p = stat_text(fd, "cgroup.procs", a); *p; p++)
			ret->pids_current += *p == '\n';
		return;
	}
	if (cg_read_u64(fd, "pids.max", &ret->pids_limit) < 0 || ret->pids_limit == UINT64_MAX)
		ret->pids_limit = 0;
}

int cgroup_v2_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret, struct err *e)
{
	int fd = cg->dirs[0].fd;
	const char *text;

	if (fd < 0)
		return err_set(e, ERR_NOT_FOUND, "the cgroup is gone");
	stat_memory(fd, a, ret);
	text = stat_text(fd, "cpu.stat", a);
	ret->has_cpu = *text;
	stat_rows(text, cpu_rows, ARRAY_LEN(cpu_rows), &ret->cpu_v2);
	stat_pids(fd, a, ret);
	ret->has_io = stat_io(fd, a, ret);
	stat_hugetlb(fd, true, a, ret);
	stat_rdma(fd, a, ret);
	stat_misc(fd, a, ret);
	psi_read(fd, "cpu.pressure", &ret->cpu_pressure);
	psi_read(fd, "memory.pressure", &ret->memory_pressure);
	psi_read(fd, "io.pressure", &ret->io_pressure);
	return 0;
}
