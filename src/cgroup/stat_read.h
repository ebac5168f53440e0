/* Readers of statistics that v1 and v2 share.  What is absent leaves the output as it was; what is
 * returned lives in the arena. */
#pragma once

#include "cgroup/private.h"
#include "cgroup/stat.h"

enum { STAT_TEXT_MAX = 16 << 20 };

/* A key of a text and the uint64_t it goes to, as an offset. */
struct stat_row {
	const char *key;
	size_t at;
};

/* The whole text of a file; "" where there is none. */
const char *stat_text(int dirfd, const char *file, struct arena *a);
void stat_rows(const char *text, const struct stat_row *rows, size_t n, void *out);
void stat_counters(const char *text, struct arena *a, struct cgroup_counters *ret);
/* "0-3,7" */
void stat_cpu_list(const char *text, struct arena *a, uint16_t **ret, size_t *ret_n);
void stat_rdma(int dirfd, struct arena *a, struct cgroup_stat *ret);
/* is_v2: which names the files have. */
void stat_hugetlb(int dirfd, bool is_v2, struct arena *a, struct cgroup_stat *ret);
void stat_misc(int dirfd, struct arena *a, struct cgroup_stat *ret);

/* psi.c.  The text of a *.pressure file; false when it is none.  Pure. */
bool psi_parse(const char *text, struct cgroup_pressure *ret);
void psi_read(int dirfd, const char *file, struct cgroup_pressure *ret);
