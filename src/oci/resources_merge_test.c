#include "base/jsonw.h"
#include "base/test.h"
#include "oci/spec.h"

static struct oci_resources *parse(struct arena *a, const char *json)
{
	struct oci_resources *r = NULL;
	struct err e = { 0 };

	CHECK_OK(oci_resources_parse(a, json, strlen(json), &r, &e), &e);
	return r;
}

static const char *print(struct arena *a, const struct oci_resources *r)
{
	AUTO_STR struct str s = STR_INIT(1 << 16);
	struct jsonw w;

	jsonw_init(&w, &s, 0);
	oci_resources_print(r, &w);
	return arena_strdup(a, str_c(&s));
}

#define EMPTY "\"memory\":{},\"cpu\":{},\"pids\":{},\"blockIO\":{},\"network\":{}"

TEST(print_is_the_way_back)
{
	static const char all[] =
		"{\"memory\":{\"limit\":1,\"reservation\":2,\"swap\":-1,\"kernel\":4,"
		"\"kernelTCP\":5,\"swappiness\":6,\"disableOOMKiller\":true,"
		"\"checkBeforeUpdate\":true},"
		"\"cpu\":{\"shares\":1,\"quota\":-1,\"burst\":0,\"period\":3,"
		"\"realtimeRuntime\":4,\"realtimePeriod\":5,\"idle\":0,\"cpus\":\"0-1\","
		"\"mems\":\"0\"},\"pids\":{\"limit\":0},"
		"\"blockIO\":{\"weight\":10,\"leafWeight\":11,"
		"\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":12}],"
		"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1}],"
		"\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":2}],"
		"\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":3}],"
		"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":4}]},"
		"\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9}],"
		"\"unified\":{\"memory.high\":\"5\"},"
		"\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000}},"
		"\"network\":{\"classID\":7,\"priorities\":[{\"name\":\"lo\",\"priority\":2}]}}";
	AUTO_ARENA struct arena *a = arena_new();

	CHECK_STR(print(a, parse(a, all)), all);
	CHECK_STR(print(a, parse(a, "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}")),
		  "{" EMPTY "}");
}

TEST(names_in_any_case)
{
	AUTO_ARENA struct arena *a = arena_new();

	CHECK_STR(print(a, parse(a, "{\"CPU\":{\"Cpus\":\"0\"},\"pids\":null}")),
		  "{\"memory\":{},\"cpu\":{\"cpus\":\"0\"},\"pids\":{},\"blockIO\":{},"
		  "\"network\":{}}");
	/* the exact one counts where there are both */
	CHECK(parse(a, "{\"PIDS\":{\"limit\":3},\"pids\":{\"limit\":4}}")->pids_limit.v == 4);
}

static const struct {
	const char *old, *given, *all, *write;
} merges[] = {
	{ "{\"memory\":{\"limit\":9,\"swap\":12},\"pids\":{\"limit\":4}}",
	  "{\"memory\":{\"limit\":10}}",
	  "{\"memory\":{\"limit\":10,\"swap\":12},\"pids\":{\"limit\":4}}",
	  "{\"memory\":{\"limit\":10,\"swap\":12}}" },
	/* unlimited memory forgets the swap that was */
	{ "{\"memory\":{\"limit\":9,\"swap\":12}}", "{\"memory\":{\"limit\":-1}}",
	  "{\"memory\":{\"limit\":-1}}", "{\"memory\":{\"limit\":-1}}" },
	/* 0 and "" are "as it was", but not for idle, burst and pids */
	{ "{\"memory\":{\"limit\":9},\"cpu\":{\"shares\":5,\"cpus\":\"1\"}}",
	  "{\"memory\":{\"limit\":0},\"cpu\":{\"shares\":0,\"idle\":0,\"burst\":0,\"cpus\":\"\"},"
	  "\"pids\":{\"limit\":0}}",
	  "{\"memory\":{\"limit\":9},\"cpu\":{\"shares\":5,\"burst\":0,\"idle\":0,"
	  "\"cpus\":\"1\"},\"pids\":{\"limit\":0}}",
	  "{\"memory\":{\"limit\":0},\"cpu\":{\"shares\":5,\"burst\":0,\"idle\":0,\"cpus\":\"\"},"
	  "\"pids\":{\"limit\":0}}" },
	{ "{\"cpu\":{\"quota\":50,\"period\":100,\"shares\":7}}", "{\"cpu\":{\"quota\":60}}",
	  "{\"cpu\":{\"quota\":60,\"period\":100,\"shares\":7}}",
	  "{\"cpu\":{\"quota\":60,\"period\":100}}" },
	{ "{\"memory\":{\"limit\":9,\"checkBeforeUpdate\":true}}", "{\"pids\":{\"limit\":-1}}",
	  "{\"memory\":{\"limit\":9},\"pids\":{\"limit\":-1}}", "{\"pids\":{\"limit\":-1}}" },
	{ "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1},"
	  "{\"major\":8,\"minor\":16,\"rate\":2}]},\"unified\":{\"a.b\":\"1\"}}",
	  "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":5},"
	  "{\"major\":9,\"minor\":0,\"rate\":6}]},\"unified\":{\"a.b\":\"2\",\"a.c\":\"3\"}}",
	  "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":5},"
	  "{\"major\":8,\"minor\":16,\"rate\":2},{\"major\":9,\"minor\":0,\"rate\":6}]},"
	  "\"unified\":{\"a.b\":\"2\",\"a.c\":\"3\"}}",
	  "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":5},"
	  "{\"major\":9,\"minor\":0,\"rate\":6}]},\"unified\":{\"a.b\":\"2\",\"a.c\":\"3\"}}" },
	{ "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9}],"
	  "\"rdma\":{\"m\":{\"hcaHandles\":3}}}",
	  "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":8}],"
	  "\"rdma\":{\"m\":{\"hcaObjects\":1}},\"network\":{\"classID\":4}}",
	  "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":8}],"
	  "\"rdma\":{\"m\":{\"hcaObjects\":1}},\"network\":{\"classID\":4}}",
	  "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":8}],"
	  "\"rdma\":{\"m\":{\"hcaObjects\":1}},\"network\":{\"classID\":4}}" },
};

TEST(merges)
{
	for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct oci_resources all, write;

		oci_resources_merge(a, parse(a, merges[i].old), parse(a, merges[i].given), &all,
				    &write);
		CHECK_STR(print(a, &all), print(a, parse(a, merges[i].all)));
		CHECK_STR(print(a, &write), print(a, parse(a, merges[i].write)));
	}
}

TEST(nothing_was_there)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_resources all, write;

	oci_resources_merge(a, NULL, parse(a, "{\"pids\":{\"limit\":5}}"), &all, &write);
	CHECK(all.pids_limit.v == 5 && write.pids_limit.v == 5 && !all.memory.limit.has);
}

static const struct {
	const char *json, *want;
} refusals[] = {
	{ "{\"unified\":{\"../x\":\"1\"}}",
	  "unified resource \"../x\" must be a file name (no slashes)" },
	{ "{\"unified\":{\"x\":\"1\"}}",
	  "unified resource \"x\" must be in the form CONTROLLER.PARAMETER" },
	{ "{\"unified\":{\"..\":\"1\"}}",
	  "unified resource \"..\" must be in the form CONTROLLER.PARAMETER" },
	{ "{\"rdma\":{\"a b\":{}}}", "rdma.a b has the device \"a b\", which is no name" },
	{ "{\"rdma\":{\"a\":{\"hcaHandles\":4294967296}}}", "rdma.a.hcaHandles is out of range" },
	{ "{\"network\":{\"classID\":4294967296}}", "network.classID is out of range" },
	{ "{\"network\":{\"priorities\":[{\"name\":\"lo\\n\",\"priority\":1}]}}",
	  "network.priorities[0].name is \"lo\n\", which is no name of an interface" },
	{ "{\"network\":{\"priorities\":[{\"priority\":1}]}}",
	  "network.priorities[0].name is missing" },
};

TEST(refusals_name_the_field)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct oci_resources *r = NULL;
		struct err e = { 0 };
		const char *t = refusals[i].json;

		CHECK_FAIL(oci_resources_parse(a, t, strlen(t), &r, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, refusals[i].want);
	}
}
