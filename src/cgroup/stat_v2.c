/* Statistics of a v2 cgroup, read from the files of its folder. */
#include "base/num.h"
#include "cgroup/private.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { TEXT_MAX = 16 << 20, HUGETLB_MAX = 16 };

int cgroup_v2_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

struct row {
	const char *key;
	size_t at;
};

#define M(member)                                                  \
	{                                                          \
#member, offsetof(struct cgroup_memory_v2, member) \
	}
static const struct row memory_rows[] = {
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

static const struct row event_rows[] = {
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
static const struct row cpu_rows[] = {
	C(usage_usec),   C(user_usec),      C(system_usec), C(nr_periods),
	C(nr_throttled), C(throttled_usec), C(nr_bursts),   C(burst_usec),
};
#undef C

static bool read_rows(int dirfd, const char *file, const struct row *rows, size_t n, void *out)
{
	AUTO_FREE char *text = NULL;

	if (file_read(dirfd, file, TEXT_MAX, &text, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++) /* a key of a newer kernel stays 0 */
		(void)cg_text_u64(text, rows[i].key,
				  (uint64_t *)(void *)((char *)out + rows[i].at));
	return true;
}

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

	if (file_read(dirfd, "io.stat", TEXT_MAX, &text, NULL) < 0)
		return false;
	for (const char *p = text; *p; p++)
		room += *p == '\n';
	ret->io = arena_array(a, room, sizeof *ret->io);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (ret->n_io < room && parse_io(line, &ret->io[ret->n_io]))
			ret->n_io++;
	return true;
}

/* hugetlb.SIZE.current names the sizes of this machine. */
static void stat_hugetlb(int dirfd, struct arena *a, struct cgroup_stat *ret)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir) {
		close_fd(&fd);
		return;
	}
	ret->hugetlb = arena_array(a, HUGETLB_MAX, sizeof *ret->hugetlb);
	while ((d = readdir(dir)) && ret->n_hugetlb < HUGETLB_MAX) {
		const char *size = d->d_name + strlen("hugetlb.");

		if (!str_starts(d->d_name, "hugetlb.") || !str_ends(d->d_name, "B.current"))
			continue;
		if (strcspn(size, ".") != strlen(size) - strlen(".current"))
			continue; /* rsvd */
		struct cgroup_hugetlb *h = &ret->hugetlb[ret->n_hugetlb++];
		h->page_size = arena_strndup(a, size, strcspn(size, "."));
		(void)cg_read_u64(fd, d->d_name, &h->usage);
		(void)cg_read_u64(fd, arena_printf(a, "hugetlb.%s.max", h->page_size), &h->max);
		AUTO_FREE char *events = NULL;
		if (file_read(fd, arena_printf(a, "hugetlb.%s.events", h->page_size), TEXT_MAX,
			      &events, NULL) == 0)
			(void)cg_text_u64(events, "max", &h->failcnt);
	}
	closedir(dir);
}

int cgroup_v2_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret, struct err *e)
{
	struct cgroup_memory_v2 *m = &ret->memory_v2;
	int fd = cg->dirs[0].fd;

	if (fd < 0)
		return err_set(e, ERR_NOT_FOUND, "the cgroup is gone");
	ret->has_memory = read_rows(fd, "memory.stat", memory_rows, ARRAY_LEN(memory_rows), m);
	if (ret->has_memory) {
		(void)cg_read_u64(fd, "memory.current", &m->usage);
		(void)cg_read_u64(fd, "memory.max", &m->usage_limit);
		(void)cg_read_u64(fd, "memory.peak", &m->max_usage);
		(void)cg_read_u64(fd, "memory.swap.current", &m->swap_usage);
		(void)cg_read_u64(fd, "memory.swap.max", &m->swap_limit);
		(void)cg_read_u64(fd, "memory.swap.peak", &m->swap_max_usage);
		(void)read_rows(fd, "memory.events", event_rows, ARRAY_LEN(event_rows), m);
	}
	ret->has_cpu = read_rows(fd, "cpu.stat", cpu_rows, ARRAY_LEN(cpu_rows), &ret->cpu_v2);
	ret->has_pids = cg_read_u64(fd, "pids.current", &ret->pids_current) == 0;
	if (ret->has_pids &&
	    (cg_read_u64(fd, "pids.max", &ret->pids_limit) < 0 || ret->pids_limit == UINT64_MAX))
		ret->pids_limit = 0;
	ret->has_io = stat_io(fd, a, ret);
	stat_hugetlb(fd, a, ret);
	return 0;
}
