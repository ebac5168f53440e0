/* /proc/PID/cgroup and mountinfo, which other programs' names are in; cgroupsPath; and the files of
 * statistics, which newer kernels extend. */
#include "cgroup/stat_read.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n);
	AUTO_FREE char *clean = cgroup_path_clean(text);
	AUTO_FREE char *twice = cgroup_path_clean(clean);
	AUTO_CGROUP_MOUNTS struct cgroup_mounts m = { 0 };
	const char *second = strchr(text, '\f');

	if (strcmp(clean, twice) != 0 || strstr(clean, "/../") || strncmp(clean, "../", 3) == 0)
		__builtin_trap();
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_counters counters;
	struct cgroup_pressure pressure;
	uint16_t *cpus;
	size_t n_cpus;

	(void)psi_parse(text, &pressure);
	stat_counters(text, a, &counters);
	for (size_t i = 1; i < counters.n; i++)
		if (strcmp(counters.v[i - 1].key, counters.v[i].key) > 0)
			__builtin_trap();
	stat_cpu_list(text, a, &cpus, &n_cpus);
	if (n_cpus > 1 << 16)
		__builtin_trap();
	cgroup_parse_own(text, &m);
	cgroup_parse_mountinfo(second ? second + 1 : text, &m);
	for (size_t i = 0; i < m.n; i++)
		if (!m.h[i].own || *m.h[i].own != '/' || !m.h[i].controllers)
			__builtin_trap();
	return 0;
}
