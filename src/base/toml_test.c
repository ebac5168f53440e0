#include "base/toml.h"

#include "base/mem.h"
#include "base/test.h"

static const char *as_json(const char *text, json_object **o)
{
	struct err e = { 0 };

	CHECK_OK(toml_parse(text, strlen(text), o, &e), &e);
	return json_object_to_json_string_ext(*o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);
}

TEST(what_it_reads)
{
	static const struct {
		const char *toml, *json;
	} rows[] = {
		{ "", "{}" },
		{ "# c\n\n a = 1 # x\n", "{\"a\":1}" },
		{ "a=\"b\\n\\u00e9\\\"\"\nc='\\d'",
		  "{\"a\":\"b\\n\xc3\xa9\\\"\",\"c\":\"\\\\d\"}" },
		{ "a=\"\"\"\nx\n  y\\\n   z\"\"\"", "{\"a\":\"x\\n  yz\"}" },
		{ "a='''\nx'y'''", "{\"a\":\"x'y\"}" },
		{ "a=[1, 2,\n # c\n 3,]", "{\"a\":[1,2,3]}" },
		{ "a=[[\"x\"],[]]", "{\"a\":[[\"x\"],[]]}" },
		{ "a={b=1,c.d='e'}", "{\"a\":{\"b\":1,\"c\":{\"d\":\"e\"}}}" },
		{ "[a.b]\nc=true\n[a]\nd=false", "{\"a\":{\"b\":{\"c\":true},\"d\":false}}" },
		{ "[host.\"https://m:5000\"]\n  capabilities = [\"pull\"]",
		  "{\"host\":{\"https://m:5000\":{\"capabilities\":[\"pull\"]}}}" },
		{ "[[a]]\nb=1\n[[a]]\nb=2\n[a.c]\nd=3",
		  "{\"a\":[{\"b\":1},{\"b\":2,\"c\":{\"d\":3}}]}" },
		{ "a=0x1F\nb=0o17\nc=0b11\nd=-1_000\ne=+7",
		  "{\"a\":31,\"b\":15,\"c\":3,\"d\":-1000,\"e\":7}" },
		{ "a=1.5\nb=1e3\nc=-0.25", "{\"a\":1.5,\"b\":1000.0,\"c\":-0.25}" },
		{ "a=1979-05-27T07:32:00Z\nb=1979-05-27 07:32:00\nc=07:32:00",
		  "{\"a\":\"1979-05-27T07:32:00Z\",\"b\":\"1979-05-27 "
		  "07:32:00\",\"c\":\"07:32:00\"}" },
		{ "a.b.c=1\na.b.d=2\r\n", "{\"a\":{\"b\":{\"c\":1,\"d\":2}}}" },
		{ "version = "
		  "2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path=\"/x\"",
		  "{\"version\":2,\"plugins\":{\"io.containerd.grpc.v1.cri\":{\"registry\":{"
		  "\"config_path\":\"/x\"}}}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object *o AUTO_JSON = NULL;

		CHECK_STR(as_json(rows[i].toml, &o), rows[i].json);
	}
}

TEST(what_it_refuses)
{
	static const struct {
		const char *toml, *why;
	} rows[] = {
		{ "a", "line 1: \"=\" is missing behind a key" },
		{ "a=", "line 1: a value that is none" },
		{ "a=1\na=2", "line 2: a key that is there already" },
		{ "[a]\n[a]", "line 2: a table that is there already" },
		{ "a=1\n[a.b]", "line 2: a table below something that is a value" },
		{ "a={b=1}\n[a.c]", "line 2: a table below something that is a value" },
		{ "a=[{}]\n[[a]]", "line 2: an array of tables where a value is" },
		{ "a=[{}]\n[a.b]", "line 2: a table below something that is a value" },
		{ "a=\"x", "line 1: a string that does not end" },
		{ "a=\"x\n\"", "line 1: a string that does not end" },
		{ "a=\"\\q\"", "line 1: an unknown escape" },
		{ "a=\"\\ud800\"", "line 1: a \\u escape of no character" },
		{ "a=01", "line 1: a number with a leading zero" },
		{ "a=1__0", "line 1: an underscore that does not stand between digits" },
		{ "a=9223372036854775808", "line 1: a number out of range" },
		{ "a=1 b=2", "line 1: text where the line should end" },
		{ "a=[1 2]", "line 1: \",\" or \"]\" is missing in an array" },
		{ "a=yes", "line 1: a value that is none" },
		{ "[a", "line 1: \"]\" is missing" },
		{ "=1", "line 1: a key is missing" },
		{ "a=\"\xff\"", "the text is not UTF-8" },
		{ "a=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "line 1: values are nested too deeply" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object *o AUTO_JSON = NULL;
		struct err e = { 0 };

		CHECK_FAIL(toml_parse(rows[i].toml, strlen(rows[i].toml), &o, &e), &e,
			   ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].why);
	}
}
