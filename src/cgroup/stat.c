#include "cgroup/stat_read.h"

#include "base/num.h"
#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

enum { HUGETLB_MAX = 16, CPU_LIST_MAX = 1 << 16 };

const char *stat_text(int dirfd, const char *file, struct arena *a)
{
	AUTO_FREE char *text = NULL;
	size_t n;

	if (file_read(dirfd, file, STAT_TEXT_MAX, &text, &n) < 0)
		return "";
	return arena_strndup(a, text, n);
}

void stat_rows(const char *text, const struct stat_row *rows, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++) /* a key of a newer kernel stays 0 */
		(void)cg_text_u64(text, rows[i].key,
				  (uint64_t *)(void *)((char *)out + rows[i].at));
}

static size_t count_lines(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int by_key(const void *x, const void *y)
{
	const struct cgroup_counter *a = x, *b = y;

	return strcmp(a->key, b->key);
}

void stat_counters(const char *text, struct arena *a, struct cgroup_counters *ret)
{
	char *copy = arena_strdup(a, text), *save = NULL;

	ret->v = arena_array(a, count_lines(text), sizeof *ret->v);
	ret->n = 0;
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *blank = strchr(line, ' ');
		struct cgroup_counter *c = &ret->v[ret->n];

		if (!blank)
			continue;
		*blank = 0;
		c->key = line;
		if (num_u64(blank + 1, &c->value) == 0)
			ret->n++;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_key);
}

static bool parse_range(char *text, uint32_t *from, uint32_t *to)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash++ = 0;
	if (num_u32(text, from) < 0)
		return false;
	*to = *from;
	return !dash || num_u32(dash, to) == 0;
}

void stat_cpu_list(const char *text, struct arena *a, uint16_t **ret, size_t *ret_n)
{
	char *copy = arena_strdup(a, text), *save = NULL;
	struct cap_list {
		uint16_t *v;
		size_t n, cap;
	} l = { 0 };

	for (char *s = strtok_r(copy, ",\n", &save); s; s = strtok_r(NULL, ",\n", &save)) {
		uint32_t from, to;

		if (!parse_range(s, &from, &to) || to >= CPU_LIST_MAX)
			continue;
		for (uint32_t i = from; i <= to && l.n < CPU_LIST_MAX; i++) {
			GROW(l.v, l.n, l.cap);
			l.v[l.n++] = (uint16_t)i;
		}
	}
	*ret = l.n ? arena_memdup(a, l.v, l.n * sizeof *l.v) : NULL;
	*ret_n = l.n;
	free(l.v);
}

/* "mlx4_0 hca_handle=2 hca_object=max" */
static bool parse_rdma(char *line, struct arena *a, struct cgroup_rdma *ret)
{
	char *save = NULL, *device = strtok_r(line, " ", &save);

	if (!device)
		return false;
	*ret = (struct cgroup_rdma){ .device = arena_strdup(a, device) };
	for (char *w = strtok_r(NULL, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *value = strchr(w, '=');
		uint32_t n = UINT32_MAX;

		if (!value || (strcmp(value + 1, "max") != 0 && num_u32(value + 1, &n) < 0))
			return false;
		if (str_starts(w, "hca_handle="))
			ret->hca_handles = n;
		if (str_starts(w, "hca_object="))
			ret->hca_objects = n;
	}
	return true;
}

static struct cgroup_rdma *rdma_list(int dirfd, const char *file, struct arena *a, size_t *ret_n)
{
	char *text = arena_strdup(a, stat_text(dirfd, file, a)), *save = NULL;
	struct cgroup_rdma *v = arena_array(a, count_lines(text), sizeof *v);

	*ret_n = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (parse_rdma(line, a, &v[*ret_n]))
			++*ret_n;
	return v;
}

void stat_rdma(int dirfd, struct arena *a, struct cgroup_stat *ret)
{
	size_t n_current, n_limit;

	ret->has_rdma = faccessat(dirfd, "rdma.current", F_OK, 0) == 0;
	ret->rdma_current = rdma_list(dirfd, "rdma.current", a, &n_current);
	ret->rdma_limit = rdma_list(dirfd, "rdma.max", a, &n_limit);
	/* a device that came or went between the two reads: neither is said */
	ret->n_rdma = n_current == n_limit ? n_current : 0;
}

static int by_size(const void *x, const void *y)
{
	const struct cgroup_hugetlb *a = x, *b = y;

	return strcmp(a->page_size, b->page_size);
}

static void read_named(int dirfd, const char *size, const char *end, struct arena *a, uint64_t *ret)
{
	(void)cg_read_u64(dirfd, arena_printf(a, "hugetlb.%s.%s", size, end), ret); /* or 0 */
}

static void one_hugetlb(int fd, bool is_v2, struct arena *a, struct cgroup_hugetlb *h)
{
	const char *usage = is_v2 ? "current" : "usage_in_bytes";
	const char *reserved = arena_printf(a, "hugetlb.%s.rsvd.%s", h->page_size, usage);

	read_named(fd, h->page_size, usage, a, &h->usage);
	h->has_reserved = cg_read_u64(fd, reserved, &h->reserved) == 0;
	if (is_v2) {
		read_named(fd, h->page_size, "max", a, &h->max);
		const char *events =
			stat_text(fd, arena_printf(a, "hugetlb.%s.events", h->page_size), a);
		(void)cg_text_u64(events, "max", &h->failcnt);
		return;
	}
	read_named(fd, h->page_size, "max_usage_in_bytes", a, &h->max);
	read_named(fd, h->page_size, "failcnt", a, &h->failcnt);
	read_named(fd, h->page_size, "rsvd.max_usage_in_bytes", a, &h->reserved_max);
	read_named(fd, h->page_size, "rsvd.failcnt", a, &h->reserved_failcnt);
}

/* The files' names tell the sizes of this machine. */
void stat_hugetlb(int dirfd, bool is_v2, struct arena *a, struct cgroup_stat *ret)
{
	const char *end = is_v2 ? ".current" : ".usage_in_bytes";
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

		if (!str_starts(d->d_name, "hugetlb.") || strcmp(strchrnul(size, '.'), end) != 0)
			continue; /* another file, or rsvd */
		struct cgroup_hugetlb *h = &ret->hugetlb[ret->n_hugetlb++];
		h->page_size = arena_strndup(a, size, strcspn(size, "."));
		one_hugetlb(fd, is_v2, a, h);
	}
	closedir(dir);
	if (ret->n_hugetlb)
		qsort(ret->hugetlb, ret->n_hugetlb, sizeof *ret->hugetlb, by_size);
}

void stat_misc(int dirfd, struct arena *a, struct cgroup_stat *ret)
{
	const char *events = stat_text(dirfd, "misc.events", a);
	struct cgroup_counters c;

	stat_counters(stat_text(dirfd, "misc.current", a), a, &c);
	ret->misc = arena_array(a, c.n + 1, sizeof *ret->misc);
	ret->n_misc = c.n;
	for (size_t i = 0; i < c.n; i++) {
		ret->misc[i] = (struct cgroup_misc){ .name = c.v[i].key, .usage = c.v[i].value };
		(void)cg_text_u64(events, arena_printf(a, "%s.max", c.v[i].key),
				  &ret->misc[i].events);
	}
}
