#include "base/test.h"
#include "cmd/containerd/hook.h"

static const struct hook_facts facts = { "c1", "default", "/b/default/c1", "/r", "42" };

TEST(templates_are_filled)
{
	static const char *const argv[] = { "/bin/h", "{{id}}-{{ ns }}", "--pid={{pid}}", "{x}",
					    NULL };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	char **v;

	CHECK(hook_fill(a, &facts, argv, &v, &e) == 0);
	CHECK_STR(v[0], "/bin/h");
	CHECK_STR(v[1], "c1-default");
	CHECK_STR(v[2], "--pid=42");
	CHECK_STR(v[3], "{x}");
	CHECK(!v[4]);
}

TEST(unknown_templates_are_refused)
{
	static const char *const bad[] = { "{{nope}}", "{{id", "{{", "{{}}" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *const argv[] = { bad[i], NULL };
		AUTO_ARENA struct arena *a = arena_new();
		struct err e = { 0 };
		char **v;

		CHECK(hook_fill(a, &facts, argv, &v, &e) == -1);
		CHECK(e.code == ERR_INVALID_ARGUMENT);
	}
}
