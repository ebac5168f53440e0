#include "cgroup/resources.h"

#include "base/str.h"
#include "base/test.h"
#include "cgroup/private.h"

/* The plan of a JSON text, one "file=value" a line, "?" for what may miss, "|" for the other. */
static const char *plan_text(struct arena *a, const char *json, unsigned v2, struct err *e)
{
	AUTO_STR struct str s = STR_INIT(8192);
	struct oci_resources *r = NULL;
	struct cgroup_plan p = { 0 };

	CHECK_OK(oci_resources_parse(a, json, strlen(json), &r, e), e);
	if (cgroup_plan_resources(a, r, v2, &p, e) < 0)
		return e->msg;
	for (size_t i = 0; i < p.n; i++) {
		str_addf(&s, "%s%s=%s", p.v[i].file, p.v[i].may_miss ? "?" : "", p.v[i].value);
		if (p.v[i].other_file)
			str_addf(&s, "|%s=%s", p.v[i].other_file, p.v[i].other_value);
		str_addc(&s, '\n');
	}
	return arena_strdup(a, str_c(&s));
}

static const struct {
	const char *json, *v1, *v2;
} plans[] = {
	{ "{}", "", "" },
	{ "{\"memory\":{\"limit\":536870912}}", "memory.limit_in_bytes=536870912\n",
	  "memory.max=536870912\n" },
	{ "{\"memory\":{\"limit\":100,\"swap\":150,\"reservation\":50}}",
	  "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes=150\n"
	  "memory.soft_limit_in_bytes=50\n",
	  "memory.swap.max=50\nmemory.max=100\nmemory.low=50\n" },
	{ "{\"memory\":{\"limit\":100,\"swap\":100}}",
	  "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes=100\n",
	  "memory.swap.max?=0\nmemory.max=100\n" },
	{ "{\"memory\":{\"limit\":-1}}",
	  "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes?=-1\n",
	  "memory.swap.max?=max\nmemory.max=max\n" },
	{ "{\"memory\":{\"limit\":0,\"kernel\":5}}", "", "" },
	{ "{\"memory\":{\"limit\":100,\"swap\":50}}",
	  "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes=50\n",
	  "memory+swap limit should be >= memory limit" },
	{ "{\"memory\":{\"limit\":-1,\"swap\":50}}",
	  "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes=50\n",
	  "memory.swap.max=50\nmemory.max=max\n" },
	{ "{\"memory\":{\"limit\":100,\"swap\":-1,\"kernel\":5,\"kernelTCP\":6,"
	  "\"useHierarchy\":true}}",
	  "memory.limit_in_bytes=100\nmemory.memsw.limit_in_bytes=-1\n",
	  "memory.swap.max?=max\nmemory.max=100\n" },
	{ "{\"memory\":{\"limit\":-2,\"swap\":5}}",
	  "memory.limit_in_bytes=-2\nmemory.memsw.limit_in_bytes=5\n", "invalid memory value: -2" },
	{ "{\"memory\":{\"swap\":50}}", "memory.memsw.limit_in_bytes=50\n",
	  "unable to set swap limit without memory limit" },
	{ "{\"memory\":{\"swappiness\":101}}",
	  "invalid memory swappiness value: 101 (valid range is 0-100)", "" },
	{ "{\"memory\":{\"disableOOMKiller\":true,\"swappiness\":0}}",
	  "memory.oom_control=1\nmemory.swappiness=0\n", "" },
	{ "{\"cpu\":{\"shares\":1024,\"quota\":50000,\"period\":100000}}",
	  "cpu.shares=1024\ncpu.cfs_period_us=100000\ncpu.cfs_quota_us=50000\n",
	  "cpu.weight=100\ncpu.max=50000 100000\n" },
	{ "{\"cpu\":{\"quota\":-1,\"burst\":0,\"idle\":1,\"shares\":2}}",
	  "cpu.idle=1\ncpu.cfs_quota_us=-1\ncpu.cfs_burst_us=0\n",
	  "cpu.idle=1\ncpu.max=max 100000\ncpu.max.burst=0\n" },
	{ "{\"cpu\":{\"cpus\":\"0-1\",\"mems\":\"0\"}}", "cpuset.cpus=0-1\ncpuset.mems=0\n",
	  "cpuset.cpus=0-1\ncpuset.mems=0\n" },
	{ "{\"pids\":{\"limit\":7}}", "pids.max=7\n", "pids.max=7\n" },
	{ "{\"pids\":{\"limit\":-1}}", "pids.max=max\n", "pids.max=max\n" },
	{ "{\"pids\":{\"limit\":0}}", "pids.max=1\n", "pids.max=1\n" },
	{ "{\"blockIO\":{\"weight\":10,\"weightDevice\":[{\"major\":8,\"minor\":0,"
	  "\"weight\":1000}],\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":1,\"rate\":9}],"
	  "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":1,\"rate\":3}]}}",
	  "blkio.weight=10|blkio.bfq.weight=10\n"
	  "blkio.weight_device=8:0 1000|blkio.bfq.weight_device=8:0 1000\n"
	  "blkio.throttle.read_bps_device=8:1 9\nblkio.throttle.write_iops_device=8:1 3\n",
	  "io.bfq.weight=10|io.weight=1\nio.bfq.weight=8:0 1000|io.weight=8:0 10000\n"
	  "io.max=8:1 rbps=9\nio.max=8:1 wiops=3\n" },
	{ "{\"blockIO\":{\"leafWeight\":20,\"weightDevice\":[{\"major\":8,\"minor\":0,"
	  "\"leafWeight\":30}],\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":1,\"rate\":0}],"
	  "\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":1,\"rate\":4}]}}",
	  "blkio.leaf_weight=20\nblkio.leaf_weight_device=8:0 30\n"
	  "blkio.throttle.write_bps_device=8:1 0\nblkio.throttle.read_iops_device=8:1 4\n",
	  "io.max=8:1 wbps=max\nio.max=8:1 riops=4\n" },
	{ "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000},\"b\":{\"hcaObjects\":0},"
	  "\"c\":{}}}",
	  "rdma.max=mlx5_1 hca_handle=3 hca_object=10000\nrdma.max=b hca_object=0\n",
	  "rdma.max=mlx5_1 hca_handle=3 hca_object=10000\nrdma.max=b hca_object=0\n" },
	{ "{\"network\":{\"classID\":1048577,\"priorities\":[{\"name\":\"eth0\",\"priority\":500}]}"
	  "}",
	  "net_cls.classid=1048577\nnet_prio.ifpriomap=eth0 500\n",
	  "linux.resources.network.classID is not supported on cgroup v2" },
	{ "{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":500}]}}",
	  "net_prio.ifpriomap=eth0 500\n",
	  "linux.resources.network.priorities is not supported on cgroup v2" },
	{ "{\"cpu\":{\"realtimeRuntime\":5,\"realtimePeriod\":6}}",
	  "cpu.rt_period_us=6\ncpu.rt_runtime_us=5\n",
	  "linux.resources.cpu.realtimeRuntime is not supported on cgroup v2" },
	{ "{\"cpu\":{\"idle\":0,\"shares\":100,\"period\":9}}",
	  "cpu.idle=0\ncpu.shares=100\ncpu.cfs_period_us=9\n",
	  "cpu.idle=0\ncpu.weight=17\ncpu.max=max 9\n" },
	{ "{\"blockIO\":{\"weight\":5}}", "invalid blkio weight 5 (valid range is 10-1000)",
	  "invalid blkio weight 5 (valid range is 10-1000)" },
	{ "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4}]}",
	  "hugetlb.2MB.limit_in_bytes=4\nhugetlb.2MB.rsvd.limit_in_bytes?=4\n",
	  "hugetlb.2MB.max=4\nhugetlb.2MB.rsvd.max?=4\n" },
	{ "{\"unified\":{\"memory.high\":\"5\"}}",
	  "invalid configuration: cannot use unified on cgroup v1", "memory.high=5\n" },
};

TEST(plans)
{
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct err e1 = { 0 }, e2 = { 0 };

		CHECK_STR(plan_text(a, plans[i].json, 0, &e1), plans[i].v1);
		CHECK_STR(plan_text(a, plans[i].json, CG_V2_ALL, &e2), plans[i].v2);
	}
}

TEST(weights)
{
	static const uint64_t rows[][2] = {
		{ 0, 0 },      { 1, 1 },          { 2, 1 },          { 3, 2 },
		{ 1024, 100 }, { 262143, 10000 }, { 262144, 10000 }, { UINT64_MAX, 10000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK(cgroup_cpu_weight(rows[i][0]) == rows[i][1]);
	CHECK(cgroup_io_weight(10) == 1 && cgroup_io_weight(1000) == 10000);
	CHECK(cgroup_io_weight(750) == 7475);
}

static const struct {
	const char *in, *want;
} cleans[] = {
	{ "", "" },           { ".", "" },
	{ "..", "" },         { "/", "/" },
	{ "/..", "/" },       { "a", "a" },
	{ "a//b/", "a/b" },   { "/a/./b/../c", "/a/c" },
	{ "../../a", "a" },   { "/../../a/..", "/" },
	{ "a/../../b", "b" }, { "/a/b/..", "/a" },
	{ "...", "..." },     { "/..a/b..", "/..a/b.." },
};

TEST(clean_paths)
{
	for (size_t i = 0; i < ARRAY_LEN(cleans); i++) {
		AUTO_FREE char *got = cgroup_path_clean(cleans[i].in);

		CHECK_STR(got, cleans[i].want);
	}
}

TEST(places_from_proc_texts)
{
	AUTO_CGROUP_MOUNTS struct cgroup_mounts m = { 0 };

	cgroup_parse_own("4:memory:/docker/x\n2:cpu,cpuacct:/\n1:name=systemd:/s\n0::/u\nrubbish\n"
			 "7:name=other:/o\n",
			 &m);
	CHECK(m.n == 4);
	CHECK(m.h[1].controllers == (CG_CPU | CG_CPUACCT));
	CHECK(m.h[2].controllers == CG_SYSTEMD && m.h[3].controllers == CG_UNIFIED);
	cgroup_parse_mountinfo(
		"30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
		"31 30 0:27 /docker/x /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n"
		"32 30 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
		"33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
		&m);
	CHECK_STR(m.h[0].mount, "/sys/fs/cgroup/mem ory");
	CHECK_STR(m.h[0].own, "/");
	CHECK(!m.h[1].mount);
	CHECK_STR(m.h[2].mount, "/sys/fs/cgroup/systemd");
	CHECK_STR(m.h[3].own, "/u");
}
