/* Plans carried out on a folder of plain files that stands for a cgroup. */
#include "cgroup/apply.h"

#include "base/test.h"
#include "cgroup/stat_read.h"
#include "os/file.h"

#include <fcntl.h>

struct fake {
	struct cgroup *cg;
	char path[32];
	int fd;
};

static void fake_open(struct fake *f, enum cgroup_layout layout, const char *const *files)
{
	snprintf(f->path, sizeof f->path, "/tmp/cg-fake-XXXXXX");
	CHECK(mkdtemp(f->path));
	f->fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	f->cg = cgroup_new(layout);
	cgroup_add_dir(f->cg, layout == CGROUP_V2 ? CG_V2_ALL : CG_V1_ALL, layout == CGROUP_V2,
		       xstrdup(f->path))
		->fd = f->fd;
	for (; files[0]; files += 2)
		CHECK(file_replace(f->fd, files[0], files[1], strlen(files[1]), 0600, false) == 0);
}

static void fake_close(struct fake *f)
{
	AUTO_FD int top = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	cgroup_free(f->cg);
	CHECK(file_remove_tree(top, f->path + 5) == 0);
}

static int apply(const struct fake *f, const char *json, bool undo, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_resources *r = NULL;
	struct cgroup_plan p;

	CHECK_OK(oci_resources_parse(a, json, strlen(json), &r, e), e);
	CHECK_OK(cgroup_plan_resources(a, r, f->cg->layout == CGROUP_V2 ? CG_V2_ALL : 0, &p, e), e);
	return cgroup_apply_plan(f->cg, &p, undo, e);
}

static void check_file(const struct fake *f, const char *file, const char *want)
{
	char text[256];

	CHECK(cg_read(f->fd, file, text, sizeof text) == 0);
	CHECK_STR(text, want);
}

TEST(writes_and_the_other_file)
{
	static const char *const files[] = { "memory.max", "111",  "pids.max", "11",
					     "io.weight",  "1111", NULL };
	struct fake f;
	struct err e = { 0 };

	fake_open(&f, CGROUP_V2, files);
	CHECK_OK(apply(&f,
		       "{\"memory\":{\"limit\":222,\"swap\":222},\"pids\":{\"limit\":22},"
		       "\"blockIO\":{\"weight\":750}}",
		       false, &e),
		 &e);
	check_file(&f, "memory.max", "222");
	check_file(&f, "pids.max", "22");
	check_file(&f, "io.weight", "7475");
	fake_close(&f);
}

TEST(a_failed_update_leaves_what_was)
{
	static const char *const files[] = { "memory.max", "111",         "memory.low", "33",
					     "io.weight",  "default 100", NULL };
	static const char json[] =
		"{\"memory\":{\"limit\":222,\"reservation\":44},\"blockIO\":{\"weight\":10},"
		"\"unified\":{\"pids.max\":\"22\"}}";
	struct fake f;
	struct err e = { 0 };

	fake_open(&f, CGROUP_V2, files);
	CHECK(apply(&f, json, true, &e) < 0);
	CHECK(strstr(e.msg, "pids.max"));
	check_file(&f, "io.weight", "default 100");
	check_file(&f, "memory.max", "111");
	check_file(&f, "memory.low", "33");
	err_clear(&e);
	CHECK(apply(&f, json, false, &e) < 0);
	check_file(&f, "memory.max", "222");
	fake_close(&f);
}

TEST(unified_in_runcs_words)
{
	static const char *const files[] = { "cgroup.controllers", "cpu memory", "memory.high",
					     "1111", NULL };
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "{\"unified\":{\"pids.max\":\"1\"}}",
		  "unified resource \"pids.max\" can't be set: controller \"pids\" not available" },
		{ "{\"unified\":{\"mem.max\":\"1\"}}",
		  "unified resource \"mem.max\" can't be set: controller \"mem\" not available" },
		{ "{\"unified\":{\"memory.other\":\"1\"}}",
		  "unable to set unified resource \"memory.other\": openat2 " },
	};
	struct fake f;

	fake_open(&f, CGROUP_V2, files);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		CHECK(apply(&f, rows[i].json, true, &e) < 0);
		e.msg[strlen(rows[i].want)] = 0;
		CHECK_STR(e.msg, rows[i].want);
	}
	struct err e = { 0 };
	CHECK_OK(apply(&f, "{\"unified\":{\"memory.high\":\"2222\\n3333\"}}", true, &e), &e);
	check_file(&f, "memory.high", "3333"); /* two writes, not one of two lines */
	fake_close(&f);
}

TEST(shares_that_the_kernel_bent)
{
	static const char *const files[] = { "cpu.shares", "55", NULL };
	struct fake f;
	struct err e = { 0 };

	fake_open(&f, CGROUP_V1, files);
	CHECK_OK(apply(&f, "{\"cpu\":{\"shares\":22}}", true, &e), &e);
	/* a plain file keeps the tail of a longer value: 1 over 22 reads as 12 */
	CHECK(apply(&f, "{\"cpu\":{\"shares\":1}}", true, &e) < 0);
	CHECK_STR(e.msg, "the minimum allowed cpu-shares is 12");
	fake_close(&f);
}

TEST(memory_in_use_is_checked_before)
{
	static const char *const files[] = { "memory.current", "5000", "memory.max", "9999", NULL };
	struct fake f;
	struct err e = { 0 };

	fake_open(&f, CGROUP_V2, files);
	CHECK(apply(&f, "{\"memory\":{\"limit\":1024,\"checkBeforeUpdate\":true}}", true, &e) < 0);
	CHECK_STR(e.msg, "rejecting memory limit 1024 <= usage 5000");
	err_clear(&e);
	CHECK(apply(&f, "{\"memory\":{\"limit\":1024,\"swap\":2048,\"checkBeforeUpdate\":true}}",
		    true, &e) < 0);
	CHECK_STR(e.msg, "rejecting memory+swap limit 2048 <= usage 5000");
	check_file(&f, "memory.max", "9999");
	err_clear(&e);
	CHECK_OK(apply(&f, "{\"memory\":{\"limit\":1024}}", true, &e), &e);
	fake_close(&f);
}

TEST(no_folder_for_a_limit)
{
	struct cgroup *cg = cgroup_new(CGROUP_V1);
	const struct fake f = { .cg = cg };
	struct err e = { 0 };

	CHECK_FAIL(apply(&f, "{\"pids\":{\"limit\":1}}", false, &e), &e, ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "cannot set pids limit: container could not join or create cgroup");
	cgroup_free(cg);
}

TEST(stats_of_v2)
{
	static const char *const files[] = {
		"memory.stat",
		"file 7\nanon 5\nweird x\n",
		"memory.current",
		"12\n",
		"memory.max",
		"max\n",
		"memory.swap.current",
		"3\n",
		"memory.swap.max",
		"9\n",
		"memory.peak",
		"44\n",
		"memory.events",
		"low 1\noom_kill 2\n",
		"cpu.stat",
		"usage_usec 10\nuser_usec 6\nnr_throttled 2\n",
		"cpu.pressure",
		"some avg10=1.50 avg60=0.25 avg300=100.00 total=7\nfull avg10=0.00 avg60=0.00 "
		"avg300=0.00 total=1\n",
		"io.pressure",
		"some avg10=x\n",
		"cgroup.procs",
		"5\n6\n",
		"io.stat",
		"8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n",
		"hugetlb.2MB.current",
		"4096\n",
		"hugetlb.2MB.rsvd.current",
		"8192\n",
		"hugetlb.2MB.max",
		"max\n",
		"hugetlb.2MB.events",
		"max 3\n",
		"rdma.current",
		"mlx4_0 hca_handle=2 hca_object=2000\n",
		"rdma.max",
		"mlx4_0 hca_handle=max hca_object=3000\n",
		"misc.current",
		"res_a 5\n",
		"misc.events",
		"res_a.max 2\n",
		NULL
	};
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_stat s;
	struct err e = { 0 };
	struct fake f;

	fake_open(&f, CGROUP_V2, files);
	CHECK_OK(cgroup_stat(f.cg, a, &s, &e), &e);
	CHECK(s.memory_raw.n == 2 && s.memory_raw.v[0].value == 5);
	CHECK_STR(s.memory_raw.v[1].key, "file");
	CHECK(s.memory_v2.usage == 12 && s.memory_v2.usage_limit == UINT64_MAX);
	CHECK(s.memory_v2.swap_limit == 9 && s.memory_v2.max_usage == 44);
	CHECK(s.memory_v2.events.oom_kill == 2);
	CHECK(s.cpu_v2.usage_usec == 10 && s.cpu_v2.nr_throttled == 2);
	CHECK(s.cpu_pressure.has && s.cpu_pressure.some.avg10 == 150);
	CHECK(s.cpu_pressure.some.avg60 == 25 && s.cpu_pressure.some.avg300 == 10000);
	CHECK(s.cpu_pressure.full.total == 1);
	CHECK(!s.io_pressure.has && !s.memory_pressure.has);
	CHECK(!s.has_pids && s.pids_current == 2);
	CHECK(s.n_io == 1 && s.io[0].wios == 4);
	CHECK(s.n_hugetlb == 1 && s.hugetlb[0].usage == 4096 && s.hugetlb[0].reserved == 8192);
	CHECK(s.hugetlb[0].failcnt == 3 && s.hugetlb[0].has_reserved);
	CHECK(s.has_rdma && s.n_rdma == 1 && s.rdma_current[0].hca_objects == 2000);
	CHECK(s.rdma_limit[0].hca_handles == UINT32_MAX);
	CHECK(s.n_misc == 1 && s.misc[0].usage == 5 && s.misc[0].events == 2);
	fake_close(&f);
}

TEST(stats_of_v1)
{
	static const char *const files[] = { "cpuacct.usage",
					     "9\n",
					     "cpuacct.usage_percpu",
					     "4 5 \n",
					     "cpuacct.usage_all",
					     "cpu user system\n0 1 3\n1 2 4\n",
					     "cpuset.cpus",
					     "0-2,5\n",
					     "cpuset.sched_relax_domain_level",
					     "-1\n",
					     "cpuset.sched_load_balance",
					     "1\n",
					     "memory.stat",
					     "cache 6\n",
					     "memory.limit_in_bytes",
					     "99\n",
					     "pids.current",
					     "1\n",
					     "pids.max",
					     "max\n",
					     "blkio.throttle.io_serviced_recursive",
					     "8:0 Read 7\nTotal 7\n",
					     "blkio.throttle.io_service_bytes_recursive",
					     "8:0 Read 70\nTotal 70\n",
					     "hugetlb.1GB.usage_in_bytes",
					     "1\n",
					     "hugetlb.1GB.max_usage_in_bytes",
					     "2\n",
					     "hugetlb.1GB.failcnt",
					     "3\n",
					     NULL };
	AUTO_ARENA struct arena *a = arena_new();
	struct cgroup_stat s;
	struct err e = { 0 };
	struct fake f;

	fake_open(&f, CGROUP_V1, files);
	CHECK_OK(cgroup_stat(f.cg, a, &s, &e), &e);
	CHECK(s.cpu_v1.total == 9 && s.cpu_v1.n_per_cpu == 2 && s.cpu_v1.per_cpu[1] == 5);
	CHECK(s.cpu_v1.n_per_cpu_modes == 2 && s.cpu_v1.per_cpu_user[1] == 2);
	CHECK(s.cpu_v1.per_cpu_kernel[0] == 3);
	CHECK(s.cpuset.n_cpus == 4 && s.cpuset.cpus[3] == 5 && !s.cpuset.n_mems);
	CHECK(s.cpuset.sched_relax_domain_level == -1 && s.cpuset.sched_load_balance == 1);
	CHECK(s.memory_v1.cache == 6 && s.memory_v1.usage.limit == 99);
	CHECK(s.has_pids && s.pids_limit == 0);
	CHECK(s.io_serviced.n == 1 && s.io_service_bytes.v[0].value == 70);
	CHECK(!s.io_time.n);
	CHECK(s.n_hugetlb == 1 && s.hugetlb[0].max == 2 && s.hugetlb[0].failcnt == 3);
	CHECK_STR(s.hugetlb[0].page_size, "1GB");
	fake_close(&f);
}
