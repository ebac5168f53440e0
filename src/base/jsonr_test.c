#include "base/jsonr.h"
#include "base/test.h"

static int parse(const char *s, json_object **o, struct err *e)
{
	return jsonr_parse(s, strlen(s), o, e);
}

TEST(json_is_read_strictly)
{
	static const char *const bad[] = {
		"", "{", "{} x", "[1,]", "{\"a\":1,}", "nul", "\"\xff\""
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = { 0 };
		json_object *o;

		if (parse(bad[i], &o, &e) == 0)
			FAIL_("accepted: %s", bad[i]);
		CHECK(e.code == ERR_INVALID_ARGUMENT);
	}
}

TEST(json_integers_are_exact)
{
	AUTO_JSON json_object *o = NULL;
	struct err e = { 0 };
	uint64_t u = 0;
	int64_t i = 0;

	CHECK_OK(parse("{\"u\":18446744073709551615,\"i\":-9223372036854775808}\n", &o, &e), &e);
	CHECK_OK(jsonr_u64(o, "u", &u, &e), &e);
	CHECK_OK(jsonr_i64(o, "i", &i, &e), &e);
	CHECK(u == UINT64_MAX && i == INT64_MIN);
	CHECK_FAIL(jsonr_u64(o, "i", &u, &e), &e, ERR_INVALID_ARGUMENT);
}

TEST(json_type_errors_name_the_field)
{
	AUTO_JSON json_object *o = NULL;
	struct err e = { 0 };
	const char *s = "kept";
	json_object *list;

	CHECK_OK(parse("{\"a\":\"x\",\"n\":null}", &o, &e), &e);
	CHECK_OK(jsonr_string(o, "absent", &s, &e), &e);
	CHECK_OK(jsonr_string(o, "n", &s, &e), &e);
	CHECK_STR(s, "kept");
	CHECK_FAIL(jsonr_array(o, "a", &list, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "field \"a\" is a string, must be an array");
}
