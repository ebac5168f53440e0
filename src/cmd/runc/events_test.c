#include "cmd/runc/events.h"

#include "base/test.h"

TEST(oom_line)
{
	AUTO_STR struct str line = STR_INIT(4096);

	event_oom("test_busybox", &line);
	CHECK_STR(str_c(&line), "{\"type\":\"oom\",\"id\":\"test_busybox\"}\n");
}

#define CPUSET_0                                                                           \
	"\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0," \
	"\"memory_spread_page\":0,\"memory_spread_slab\":0,\"memory_pressure\":0,"         \
	"\"sched_load_balance\":0,\"sched_relax_domain_level\":0}"
#define PSI_0 "{\"avg10\":0,\"avg60\":0,\"avg300\":0,\"total\":0}"
#define PSI_FULL ",\"full\":" PSI_0
#define PSI_NONE "\"some\":" PSI_0 PSI_FULL
#define NO_KERNEL "\"kernel\":{\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0}"

TEST(stats_of_v1)
{
	AUTO_STR struct str line = STR_INIT(1 << 16);
	uint64_t per_cpu[] = { 3, 4 };
	uint16_t cpus[] = { 0, 1 };
	struct cgroup_blkio_entry io[] = { { .op = "Read", .major = 8, .value = 4096 } };
	struct cgroup_hugetlb huge[] = { { .page_size = "2MB",
					   .usage = 1,
					   .has_reserved = true,
					   .reserved = 5,
					   .reserved_max = 6,
					   .reserved_failcnt = 7 } };
	struct cgroup_stat s = {
		.layout = CGROUP_V1,
		.cpu_v1 = { .total = 7,
			    .kernel = 1,
			    .per_cpu = per_cpu,
			    .n_per_cpu = 2,
			    .periods = 2 },
		.cpuset = { .cpus = cpus, .n_cpus = 2, .sched_relax_domain_level = -1 },
		.memory_v1 = { .cache = 9, .usage = { .limit = 100, .usage = 5, .failcnt = 1 } },
		.pids_current = 1,
		.pids_limit = 20,
		.io_serviced = { io, 1 },
		.hugetlb = huge,
		.n_hugetlb = 1,
	};

	event_stats("x", &s, &line);
	CHECK_STR(str_c(&line),
		  "{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"usage\":{\"total\":7,"
		  "\"percpu\":[3,4],\"kernel\":1,\"user\":0},\"throttling\":{\"periods\":2}},"
		  "\"cpuset\":{\"cpus\":[0,1],\"cpu_exclusive\":0,\"mem_hardwall\":0,"
		  "\"mem_exclusive\":0,\"memory_migrate\":0,\"memory_spread_page\":0,"
		  "\"memory_spread_slab\":0,\"memory_pressure\":0,\"sched_load_balance\":0,"
		  "\"sched_relax_domain_level\":-1},"
		  "\"memory\":{\"cache\":9,\"usage\":{\"limit\":100,\"usage\":5,\"failcnt\":1},"
		  "\"swap\":{\"limit\":0,\"failcnt\":0}," NO_KERNEL "},"
		  "\"pids\":{\"current\":1,\"limit\":20},"
		  "\"blkio\":{\"ioServicedRecursive\":[{\"major\":8,\"op\":\"Read\","
		  "\"value\":4096}]},\"hugetlb\":{\"2MB\":{\"usage\":5,\"max\":6,\"failcnt\":7}},"
		  "\"intel_rdt\":{},\"network_interfaces\":null}}\n");
}

TEST(stats_of_v2)
{
	AUTO_STR struct str line = STR_INIT(1 << 16);
	struct cgroup_counter raw[] = { { "anon", 1 }, { "file", 2 } };
	struct cgroup_io io[] = { { .major = 8, .rbytes = 10, .wios = 3 } };
	struct cgroup_stat s = {
		.layout = CGROUP_V2,
		.cpu_v2 = { .usage_usec = 7,
			    .user_usec = 4,
			    .system_usec = 3,
			    .throttled_usec = 1 },
		.cpu_pressure = { .has = true, .some = { 150, 25, 10000, 7 } },
		.io_pressure = { .has = true },
		.memory_v2 = { .file = 2,
			       .usage = 12,
			       .usage_limit = 100,
			       .max_usage = 50,
			       .swap_usage = 3,
			       .swap_limit = 9 },
		.memory_raw = { raw, 2 },
		.pids_current = 1,
		.io = io,
		.n_io = 1,
	};

	event_stats("x", &s, &line);
	CHECK_STR(str_c(&line),
		  "{\"type\":\"stats\",\"id\":\"x\",\"data\":{\"cpu\":{\"usage\":{\"total\":7000,"
		  "\"kernel\":3000,\"user\":4000},\"throttling\":{\"throttledTime\":1000},"
		  "\"psi\":{\"some\":{\"avg10\":1.5,\"avg60\":0.25,\"avg300\":100,\"total\":"
		  "7}" PSI_FULL "}},"
		  "\"cpuset\":{" CPUSET_0 ","
		  "\"memory\":{\"cache\":2,\"usage\":{\"limit\":100,\"usage\":12,\"max\":50,"
		  "\"failcnt\":0},\"swap\":{\"limit\":109,\"usage\":15,\"failcnt\":0}," NO_KERNEL
		  ",\"raw\":{\"anon\":1,\"file\":2}},\"pids\":{\"current\":1},"
		  "\"blkio\":{\"ioServiceBytesRecursive\":[{\"major\":8,\"op\":\"Read\","
		  "\"value\":10},{\"major\":8,\"op\":\"Write\"}],\"ioServicedRecursive\":[{"
		  "\"major\":8,\"op\":\"Read\"},{\"major\":8,\"op\":\"Write\",\"value\":3}],"
		  "\"psi\":{" PSI_NONE "}},\"hugetlb\":{},\"intel_rdt\":{},"
		  "\"network_interfaces\":null}}\n");
}

TEST(durations)
{
	static const struct {
		const char *text;
		bool ok, negative;
		uint64_t ns;
	} rows[] = {
		{ "5s", true, false, 5000000000 },
		{ "300ms", true, false, 300000000 },
		{ "1h15m30.5s", true, false, 4530500000000 },
		{ "-1s", true, true, 1000000000 },
		{ "0", true, false, 0 },
		{ ".5m", true, false, 30000000000 },
		{ "2µs", true, false, 2000 },
		{ "5", false, false, 0 },
		{ "xs", false, false, 0 },
		{ "s", false, false, 0 },
		{ "", false, false, 0 },
		{ "1 s", false, false, 0 },
		{ "99999999999h", false, false, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ns = 0;
		bool negative = false;

		CHECK(duration_parse(rows[i].text, &ns, &negative) == rows[i].ok);
		if (rows[i].ok)
			CHECK(ns == rows[i].ns && negative == rows[i].negative);
	}
}
