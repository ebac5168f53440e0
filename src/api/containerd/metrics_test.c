#include "api/containerd/metrics.h"
#include "base/test.h"

#include "cgroups/v1/metrics.pb-c.h"
#include "cgroups/v2/metrics.pb-c.h"

static const char *lines(const ProtobufCMessage *m, struct str *out)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct api_metric_list l = { .arena = a };

	api_metrics_add(&l, m, "container_id=\"x\"");
	api_metrics_print(&l, out);
	return str_c(out);
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		FAIL_("no \"%s\" in:\n%s", line, text);
}

/* Names as containerd 1.6 shows them for a container on cgroup v1. */
TEST(version_1_by_containerds_names)
{
	Io__Containerd__Cgroups__V1__Metrics m = IO__CONTAINERD__CGROUPS__V1__METRICS__INIT;
	Io__Containerd__Cgroups__V1__CPUStat cpu = IO__CONTAINERD__CGROUPS__V1__CPUSTAT__INIT;
	Io__Containerd__Cgroups__V1__CPUUsage use = IO__CONTAINERD__CGROUPS__V1__CPUUSAGE__INIT;
	Io__Containerd__Cgroups__V1__Throttle t = IO__CONTAINERD__CGROUPS__V1__THROTTLE__INIT;
	Io__Containerd__Cgroups__V1__MemoryStat mem =
		IO__CONTAINERD__CGROUPS__V1__MEMORY_STAT__INIT;
	Io__Containerd__Cgroups__V1__MemoryEntry tcp =
		IO__CONTAINERD__CGROUPS__V1__MEMORY_ENTRY__INIT;
	Io__Containerd__Cgroups__V1__PidsStat pids = IO__CONTAINERD__CGROUPS__V1__PIDS_STAT__INIT;
	uint64_t per_cpu[] = { 4, 8 };
	AUTO_STR struct str out = STR_INIT(1 << 16);

	use.total = 12;
	use.per_cpu = per_cpu;
	use.n_per_cpu = 2;
	t.throttled_time = 9;
	cpu.usage = &use;
	cpu.throttling = &t;
	mem.pg_pg_in = 369;
	tcp.failcnt = 5;
	mem.kernel_tcp = mem.usage = &tcp;
	pids.current = 1;
	m.cpu = &cpu;
	m.memory = &mem;
	m.pids = &pids;
	const char *text = lines(&m.base, &out);
	has(text, "# TYPE container_cpu_total_nanoseconds gauge\n"
		  "container_cpu_total_nanoseconds{container_id=\"x\"} 12\n");
	has(text, "container_per_cpu_nanoseconds{container_id=\"x\",cpu=\"1\"} 8\n");
	has(text, "container_cpu_throttled_time_nanoseconds{container_id=\"x\"} 9\n");
	has(text, "container_cpu_throttle_periods_total{");
	has(text, "container_memory_pgpgin_bytes{container_id=\"x\"} 369\n");
	has(text, "container_memory_kerneltcp_failcnt_total{container_id=\"x\"} 5\n");
	has(text, "container_memory_usage_failcnt_total{container_id=\"x\"} 5\n");
	has(text, "container_memory_hierarchical_memsw_limit_bytes{");
	has(text, "container_pids_current{container_id=\"x\"} 1\n");
}

TEST(version_2_by_containerds_names)
{
	Io__Containerd__Cgroups__V2__Metrics m = IO__CONTAINERD__CGROUPS__V2__METRICS__INIT;
	Io__Containerd__Cgroups__V2__CPUStat cpu = IO__CONTAINERD__CGROUPS__V2__CPUSTAT__INIT;
	Io__Containerd__Cgroups__V2__MemoryStat mem =
		IO__CONTAINERD__CGROUPS__V2__MEMORY_STAT__INIT;
	Io__Containerd__Cgroups__V2__MemoryEvents ev =
		IO__CONTAINERD__CGROUPS__V2__MEMORY_EVENTS__INIT;
	AUTO_STR struct str out = STR_INIT(1 << 16);

	cpu.usage_usec = 7;
	mem.usage = 4096;
	ev.oom = 2;
	ev.oom_kill = 3;
	m.cpu = &cpu;
	m.memory = &mem;
	m.memory_events = &ev;
	const char *text = lines(&m.base, &out);
	has(text, "container_cpu_usage_usec_microseconds{container_id=\"x\"} 7\n");
	has(text, "container_cpu_nr_throttled_total{");
	has(text, "container_memory_usage_bytes{container_id=\"x\"} 4096\n");
	has(text, "container_memory_oom_total{container_id=\"x\"} 2\n");
	CHECK(!strstr(text, "oom_kill"));
}
