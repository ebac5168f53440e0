/* Scheduler, priorities, processors, memory: refusals in runc's words, and the way through
 * state.json. */
#include "base/jsonr.h"
#include "base/jsonw.h"
#include "base/test.h"
#include "runtime/plan.h"

#include <errno.h>

TEST(sets)
{
	static const struct {
		const char *text;
		int want;
		unsigned long low;
	} cases[] = {
		{ NULL, 0, 0 },        { "", 0, 0 },           { "0", 0, 1 },
		{ "0-3,7", 0, 0x8f },  { " 1 , 2-2 ,", 0, 6 }, { "63", 0, 1UL << 63 },
		{ "1023", 0, 0 },      { "1024", -ERANGE, 0 }, { "0-9876543210", -ERANGE, 0 },
		{ "3-1", -EINVAL, 0 }, { "1-", -EINVAL, 0 },   { "-1", -EINVAL, 0 },
		{ "a", -EINVAL, 0 },   { "1 2", -EINVAL, 0 },  { "1-2-3", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tune_set s;

		CHECK(tune_parse_set(cases[i].text, &s) == cases[i].want);
		CHECK(cases[i].want || s.bits[0] == cases[i].low);
	}
}

static const char full[] =
	"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
	"\"args\":[\"sh\"],\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"nice\":-3,\"runtime\":5,"
	"\"deadline\":6,\"period\":7,\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\","
	"\"SCHED_FLAG_RECLAIM\"]},\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":4},"
	"\"execCPUAffinity\":{\"initial\":\"0-1\",\"final\":\"3\"}},\"linux\":{"
	"\"namespaces\":[{\"type\":\"mount\"}],\"personality\":{\"domain\":\"LINUX32\"},"
	"\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0,2\","
	"\"flags\":[\"MPOL_F_STATIC_NODES\"]},\"resources\":{\"cpu\":{\"cpus\":\"0\"}}}}";

static const char lines[] = "scheduler SCHED_DEADLINE flags 0x3 nice -3 priority 0 5/6/7\n"
			    "io_priority IOPRIO_CLASS_RT 4\n"
			    "personality LINUX32\n"
			    "memory_policy MPOL_BIND 0x8000 nodes 0,2\n"
			    "exec_cpus 0-1 then 3\n";

static void plan(struct arena *a, const char *text, struct tune *ret)
{
	struct plan_input in = { .id = "c", .bundle = "/b" };
	struct oci_spec *s = NULL;
	struct err e = { 0 };
	struct plan p;

	CHECK_OK(oci_spec_parse(a, text, strlen(text), &s, &e), &e);
	in.spec = s;
	CHECK_OK(plan_make(a, &in, &p, &e), &e);
	*ret = p.process.tune;
	plan_done(&p);
}

static void check_lines(const struct tune *t, const char *want)
{
	AUTO_STR struct str out = STR_INIT(4096);

	tune_print(t, &out);
	CHECK_STR(str_c(&out), want);
}

TEST(plan_and_state)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str text = STR_INIT(4096);
	AUTO_JSON json_object *o = NULL;
	struct tune t, back = { 0 };
	struct err e = { 0 };
	struct jsonw w;

	plan(a, full, &t);
	check_lines(&t, lines);
	CHECK(t.has_cpuset && !tune_is_empty(&t));
	jsonw_init(&w, &text, 0);
	tune_put(&w, &t);
	CHECK_OK(jsonr_parse(str_c(&text), text.len, &o, &e), &e);
	CHECK_OK(tune_get(a, o, &back, &e), &e);
	check_lines(&back, lines);
	CHECK(back.has_cpuset && back.memory_nodes.bits[0] == 5 && back.final.bits[0] == 8);
}

TEST(what_exec_does_not_say_is_the_containers)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct tune container, own = { .has_io_priority = true, .io_priority = 3 << 13 };

	plan(a, full, &container);
	own.final = (struct tune_set){ .text = "9" };
	tune_inherit(&own, &container);
	check_lines(&own, "scheduler SCHED_DEADLINE flags 0x3 nice -3 priority 0 5/6/7\n"
			  "io_priority IOPRIO_CLASS_IDLE 0\n"
			  "personality LINUX32\n"
			  "memory_policy MPOL_BIND 0x8000 nodes 0,2\n"
			  "exec_cpus any then 9\n");
}

TEST(nothing_asked_is_nothing_kept)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct tune t;

	plan(a,
	     "{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\","
	     "\"args\":[\"sh\"],\"execCPUAffinity\":{}},\"linux\":{\"memoryPolicy\":{},"
	     "\"namespaces\":[{\"type\":\"mount\"}]}}",
	     &t);
	CHECK(tune_is_empty(&t));
	check_lines(&t, "");
}
