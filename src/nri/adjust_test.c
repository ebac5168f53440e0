/* What plugins may change, and that they may not undo each other. */
#include "nri/adjust.h"

#include "base/test.h"

static json_object *parse(const char *text)
{
	json_object *o = NULL;
	struct err e = { 0 };

	CHECK_OK(jsonr_parse(text, strlen(text), &o, &e), &e);
	return o;
}

/* spec after the adjustments of plugins "0", "1", …; the last one's result. */
static int apply(const char *const *wants, const char *spec, char *out, size_t n, struct err *e)
{
	AUTO_ADJUST struct adjust a = ADJUST_INIT(NULL);
	AUTO_JSON json_object *o = parse(spec);
	int r = 0;

	for (int i = 0; wants[i] && r == 0; i++) {
		AUTO_JSON json_object *want = parse(wants[i]);
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		r = adjust_spec(&a, name, want, o, e);
	}
	snprintf(out, n, "%s",
		 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	return r;
}

TEST(each_kind_of_change)
{
	static const struct {
		const char *spec, *want, *result;
	} cases[] = {
		{ "{\"process\":{\"env\":[\"A=1\",\"AB=2\"]}}",
		  "{\"env\":[{\"key\":\"A\",\"value\":\"x=y\"},{\"key\":\"N\",\"value\":\"\"}]}",
		  "{\"process\":{\"env\":[\"AB=2\",\"A=x=y\",\"N=\"]}}" },
		{ "{\"process\":{\"env\":[\"A=1\",\"B=2\"]}}", "{\"env\":[{\"key\":\"-A\"}]}",
		  "{\"process\":{\"env\":[\"B=2\"]}}" },
		{ "{\"annotations\":{\"a\":\"1\",\"b\":\"2\"}}",
		  "{\"annotations\":{\"-a\":\"\",\"c\":\"3\"}}",
		  "{\"annotations\":{\"b\":\"2\",\"c\":\"3\"}" },
		{ "{\"mounts\":[{\"destination\":\"/a\",\"source\":\"1\"}]}",
		  "{\"mounts\":[{\"destination\":\"/a\",\"source\":\"2\"},{\"destination\":\"/"
		  "b\"}]}",
		  "{\"mounts\":[{\"destination\":\"/a\",\"source\":\"2\"},{\"destination\":\"/"
		  "b\"}]" },
		{ "{}", "{\"hooks\":{\"prestart\":[{\"path\":\"/p\"}]}}",
		  "\"hooks\":{\"prestart\":[{\"path\":\"/p\"}]}" },
		{ "{\"process\":{\"rlimits\":[{\"type\":\"N\",\"hard\":1}]}}",
		  "{\"rlimits\":[{\"type\":\"N\",\"hard\":5}]}",
		  "{\"process\":{\"rlimits\":[{\"type\":\"N\",\"hard\":5}]}}" },
		{ "{\"process\":{\"args\":[\"a\"]}}", "{\"args\":[\"b\",\"c\"]}",
		  "{\"process\":{\"args\":[\"b\",\"c\"]}}" },
		{ "{\"linux\":{\"resources\":{\"memory\":{\"limit\":1,\"swap\":2}}}}",
		  "{\"linux\":{\"resources\":{\"memory\":{\"limit\":9},\"pids\":{\"limit\":4},"
		  "\"unified\":{\"u\":\"v\"}}}}",
		  "{\"linux\":{\"resources\":{\"memory\":{\"limit\":9,\"swap\":2},"
		  "\"pids\":{\"limit\":4},\"unified\":{\"u\":\"v\"}}}" },
		{ "{}",
		  "{\"linux\":{\"devices\":[{\"path\":\"/dev/"
		  "x\",\"type\":\"c\",\"major\":1,\"minor\":3}]}}",
		  "\"linux\":{\"devices\":[{\"path\":\"/dev/"
		  "x\",\"type\":\"c\",\"major\":1,\"minor\":3}],"
		  "\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":1,"
		  "\"minor\":3,"
		  "\"access\":\"rwm\"}]}}" },
		{ "{}", "{\"linux\":{\"oomScoreAdj\":7,\"cgroupsPath\":\"/x\"}}",
		  "{\"process\":{\"oomScoreAdj\":7},\"linux\":{\"cgroupsPath\":\"/x\"}}" },
		{ "{}", "{\"linux\":{\"resources\":{\"rdtClass\":\"gold\"}}}",
		  "\"linux\":{\"intelRdt\":{\"closID\":\"gold\"},\"resources\":{}}" },
		{ "{}", "{\"linux\":{\"sysctl\":{\"a.b\":\"1\"}}}",
		  "\"linux\":{\"sysctl\":{\"a.b\":\"1\"}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *wants[] = { cases[i].want, NULL };
		struct err e = { 0 };
		char out[1024];

		CHECK_OK(apply(wants, cases[i].spec, out, sizeof out, &e), &e);
		if (!strstr(out, cases[i].result))
			FAIL_("case %zu: %s", i, out);
	}
}

TEST(two_plugins_do_not_set_the_same)
{
	static const char *const wants[][3] = {
		{ "{\"env\":[{\"key\":\"A\",\"value\":\"1\"}]}",
		  "{\"env\":[{\"key\":\"A\",\"value\":\"2\"}]}" },
		{ "{\"linux\":{\"resources\":{\"cpu\":{\"shares\":5}}}}",
		  "{\"linux\":{\"resources\":{\"cpu\":{\"shares\":5}}}}" },
		{ "{\"args\":[\"a\"]}", "{\"args\":[\"b\"]}" },
		{ "{\"linux\":{\"resources\":{\"rdtClass\":\"a\"}}}",
		  "{\"linux\":{\"rdt\":{\"closID\":\"b\"}}}" },
		{ "{\"mounts\":[{\"destination\":\"/a\"}]}",
		  "{\"mounts\":[{\"destination\":\"/a\"}]}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		struct err e = { 0 };
		char out[256];

		CHECK(apply(wants[i], "{}", out, sizeof out, &e) == -1);
		CHECK(e.code == ERR_ALREADY_EXISTS);
		CHECK(strstr(e.msg, "plugins \"0\" and \"1\" both tried to set "));
	}
}

TEST(what_is_removed_first_may_be_set_again)
{
	const char *wants[] = { "{\"env\":[{\"key\":\"A\",\"value\":\"1\"}],\"args\":[\"a\"]}",
				"{\"env\":[{\"key\":\"-A\"},{\"key\":\"A\",\"value\":\"2\"}],"
				"\"args\":[\"\",\"b\"]}",
				NULL };
	struct err e = { 0 };
	char out[256];

	CHECK_OK(apply(wants, "{}", out, sizeof out, &e), &e);
	CHECK_STR(out, "{\"process\":{\"env\":[\"A=2\"],\"args\":[\"b\"]}}");
}

TEST(what_is_not_done_is_said)
{
	const char *cdi[] = { "{\"CDIDevices\":[{\"name\":\"v/d=0\"}]}", NULL };
	const char *io[] = { "{\"linux\":{\"resources\":{\"blockioClass\":\"slow\"}}}", NULL };
	AUTO_ADJUST struct adjust a = ADJUST_INIT(NULL);
	AUTO_JSON json_object *update = parse("{\"rdtClass\":\"gold\"}");
	AUTO_JSON json_object *resources = parse("{}");
	struct err e = { 0 };
	char out[64];

	CHECK(apply(cdi, "{}", out, sizeof out, &e) == -1 && e.code == ERR_NOT_FOUND);
	err_clear(&e);
	CHECK(apply(io, "{}", out, sizeof out, &e) == -1);
	CHECK_STR(e.msg, "no OCI BlockIO parameters for class \"slow\"");
	err_clear(&e);
	CHECK(adjust_resources(&a, "p", update, resources, &e) == -1);
	CHECK_STR(e.msg, "rdtClass is not supported in updates");
}
