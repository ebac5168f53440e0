#include "base/yaml.h"

#include "base/str.h"
#include "base/test.h"

static void check(const char *yaml, const char *json)
{
	struct err e = { 0 };
	json_object *o AUTO_JSON = NULL;

	CHECK_OK(yaml_parse(yaml, strlen(yaml), &o, &e), &e);
	CHECK_STR(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE),
		  json);
}

TEST(scalars)
{
	check("", "null");
	check("# nothing\n", "null");
	check("[~, null, '', '~']", "[null,null,\"\",\"~\"]");
	check("[true, Yes, off, \"true\", 'no']", "[true,true,false,\"true\",\"no\"]");
	check("[0, 12, -7, +3, 0x1F, 0644, 0o17, 0b101, 1_000]", "[0,12,-7,3,31,420,15,5,1000]");
	check("[18446744073709551615, -9223372036854775808]",
	      "[18446744073709551615,-9223372036854775808]");
	check("[1.5, -.5, 1e3, .inf, 1.2.3, 08, 0x, 0xg, '5', 50M, 1 2]",
	      "[1.5,-0.5,1000.0,\".inf\",\"1.2.3\",8.0,\"0x\",\"0xg\",\"5\",\"50M\",\"1 2\"]");
	check("18446744073709551616", "1.8446744073709552e+19");
}

TEST(trees)
{
	check("a: 1\nb:\n  - x: y\n    z: []\n  - {}\n8: |\n  text\n  more\n",
	      "{\"a\":1,\"b\":[{\"x\":\"y\",\"z\":[]},{}],\"8\":\"text\\nmore\\n\"}");
	check("base: &b {a: 1, c: 2}\nmine: {<<: *b, c: 3}\nboth: {<<: [{d: 4}, *b]}\n\"<<\": 5",
	      "{\"base\":{\"a\":1,\"c\":2},\"mine\":{\"c\":3,\"a\":1},\"both\":{\"d\":4,\"a\":1,"
	      "\"c\":2},\"<<\":5}");
	check("first: 1\n---\nsecond: 2\n", "{\"first\":1}");
}

TEST(refusals)
{
	static const struct {
		const char *yaml, *why;
	} rows[] = {
		{ "a: 1\nb: 2\na: 3\n", "yaml: line 3: mapping key already defined: a" },
		{ "a: [1,\n", "yaml: line 2: did not find expected node content" },
		{ "a: *b\n", "yaml: line 1: found undefined alias" },
		{ "? [1]\n: 2\n", "yaml: line 1: a key that is no text" },
		{ "\"a\\0b\": 1\n", "yaml: line 1: a key that is no text" },
		{ "<<: 5\n",
		  "yaml: line 1: map merge requires map or sequence of maps as the value" },
		{ "&a [*a]\n", "yaml: line 1: nested too deeply" },
		{ "\ta: 1\n", "yaml: line 1: found character that cannot start any token" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		json_object *o AUTO_JSON = NULL;

		CHECK_FAIL(yaml_parse(rows[i].yaml, strlen(rows[i].yaml), &o, &e), &e,
			   ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].why);
	}
}

/* Ten to the eighth, from a few lines. */
TEST(aliases_of_aliases_are_bounded)
{
	AUTO_STR struct str s = STR_INIT(4096);
	struct err e = { 0 };
	json_object *o AUTO_JSON = NULL;

	str_add(&s, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 8; i++) {
		str_addf(&s, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			str_addf(&s, "*a%d, ", i - 1);
		str_add(&s, "]\n");
	}
	CHECK_FAIL(yaml_parse(s.ptr, s.len, &o, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK(strstr(e.msg, "too many values"));
}

/* Each of them would take libyaml minutes to years. */
TEST(texts_that_are_slow_to_read)
{
	static const struct {
		const char *part, *why;
	} rows[] = {
		{ "[", "yaml: line 1: nested too deeply" },
		{ "{? ", "yaml: line 1: nested too deeply" },
		{ "[a,", "yaml: line 1: nested too deeply" },
		{ "{a: ", "yaml: line 1: nested too deeply" },
		{ "- ", "yaml: line 1: nested too deeply" },
		{ "%TAG !a! x\n", "yaml: too many directives" },
		{ "%TAG !a! x\xc2\x85", "yaml: too many directives" },
		{ "%TAG !a! x\xe2\x80\xa8", "yaml: too many directives" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STR struct str s = STR_INIT(YAML_MAX);
		struct err e = { 0 };
		json_object *o AUTO_JSON = NULL;

		while (s.len + strlen(rows[i].part) <= YAML_MAX)
			str_add(&s, rows[i].part);
		CHECK_FAIL(yaml_parse(s.ptr, s.len, &o, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].why);
	}
}

TEST(no_other_encoding)
{
	static const char text[] = "\xff\xfe%\0T\0A\0G\0";
	struct err e = { 0 };
	json_object *o AUTO_JSON = NULL;

	CHECK_FAIL(yaml_parse(text, sizeof text - 1, &o, &e), &e, ERR_INVALID_ARGUMENT);
}

TEST(anchors_are_bounded)
{
	AUTO_STR struct str s = STR_INIT(YAML_MAX);
	struct err e = { 0 };
	json_object *o AUTO_JSON = NULL;

	for (int i = 0; i < 200000; i++)
		str_addf(&s, "- &a%d 1\n", i);
	CHECK_FAIL(yaml_parse(s.ptr, s.len, &o, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "yaml: line 257: too many anchors");
}
