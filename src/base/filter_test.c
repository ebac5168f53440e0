#include "base/filter.h"

#include "base/test.h"

struct thing {
	const char *name, *empty, *type;
	const char *label_key, *label_value;
};

static const char *get(const void *obj, const char *const *path, size_t n)
{
	const struct thing *t = obj;

	if (n == 1 && strcmp(path[0], "name") == 0)
		return t->name;
	if (n == 1 && strcmp(path[0], "empty") == 0)
		return t->empty;
	if (n == 1 && strcmp(path[0], "type") == 0)
		return t->type;
	if (n > 1 && strcmp(path[0], "labels") == 0 &&
	    filter_path_is(path + 1, n - 1, t->label_key))
		return t->label_value;
	return NULL;
}

static const struct thing thing = { "bb/box:1", "", "io.containerd.runtime.v2",
				    "containerd.io/gc.ref.content.l.0", "sha256:ab,c d" };

TEST(matches)
{
	static const struct {
		const char *filter;
		bool want;
	} rows[] = {
		{ "", true },
		{ "name", true },
		{ "empty", true },
		{ "nope", false },
		{ "name.x", false },
		{ "name==bb/box:1", true },
		{ "name==\"bb/box:1\"", true },
		{ "name == bb/box:1", true },
		{ "name==box", false },
		{ "name!=box", true },
		{ "nope!=box", true },
		{ "nope==x", false },
		{ "name~=box", true },
		{ "name~=^box", false },
		{ "name~=/^bb\\/box:[0-9]+$/", true },
		{ "name~=|^bb/box|", true },
		{ "name~=\"^bb.*1$\"", true },
		{ "name~=(", false }, /* a wrong expression matches nothing */
		{ "nope~=x*", true },
		{ "name,empty", true },
		{ "name,nope", false },
		{ "name , empty", true },
		{ "type==io.containerd.runtime.v2, name==bb/box:1", true },
		{ "labels.\"containerd.io/gc.ref.content.l.0\"", true },
		{ "labels.\"containerd.io/gc.ref.content.l.0\"==\"sha256:ab,c d\"", true },
		{ "labels.\"containerd.io/gc.ref.content.l.1\"", false },
		{ "labels.\"containerd.io/gc\".ref.content.l.0", true },
		{ "\"name\"==\"bb\\x2fbox\\u003a1\"", true },
		{ "name==\"bb\\057box:1\"", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FILTER struct filter_set *f = NULL;
		struct err e = { 0 };

		CHECK_OK(filter_compile(&rows[i].filter, 1, &f, &e), &e);
		if (filter_match(f, get, &thing) != rows[i].want)
			FAIL_("%s", rows[i].filter);
	}
}

TEST(any_of_several_and_none)
{
	static const char *const two[] = { "name==x", "empty" }, *const none[] = { "name==x",
										   "nope" };
	AUTO_FILTER struct filter_set *f = NULL, *g = NULL, *h = NULL;
	struct err e = { 0 };

	CHECK_OK(filter_compile(two, 2, &f, &e), &e);
	CHECK(filter_match(f, get, &thing));
	CHECK_OK(filter_compile(none, 2, &g, &e), &e);
	CHECK(!filter_match(g, get, &thing));
	CHECK_OK(filter_compile(NULL, 0, &h, &e), &e);
	CHECK(filter_match(h, get, &thing) && filter_match(NULL, get, &thing));
}

TEST(errors_name_the_place)
{
	static const struct {
		const char *filter, *text;
	} rows[] = {
		{ "name=x", "filters: parse error: [name >|=|< x]: unsupported operator \"=\"" },
		{ "name===x",
		  "filters: parse error: [name >|=|< ==x]: unsupported operator \"===\"" },
		{ "name==", "filters: unexpected EOF" },
		{ "name x", "filters: parse error: [name  >|x|< ]: expected an operator "
			    "(\"==\"|\"!=\"|\"~=\")" },
		{ ",name", "filters: parse error: [ >|,|< name]: expected field or quoted" },
		{ "name,", "filters: parse error: [name,]: expected field or quoted" },
		{ "name.", "filters: parse error: [name.]: expected field or quoted" },
		{ "name==a b", "filters: parse error: [name==a  >|b|< ]: unexpected input: b" },
		{ "name==\"a",
		  "filters: parse error: [name== >|\"|< a]: quoted literal not terminated" },
		{ "name==/a/",
		  "filters: parse error: [name== >|/|< a/]: invalid quote encountered" },
		{ "/name/==a",
		  "filters: parse error: [ >|/|< name/==a]: invalid quote encountered" },
		{ "name==\"\\q\"",
		  "filters: parse error: [name==\" >|\\|< q\"]: illegal escape sequence" },
		{ "name==,", "filters: parse error: [name== >|,|< ]: expected value or quoted" },
		{ "#", "filters: parse error: [ >|#|< ]: illegal character" },
		{ "name~=\\pL", "filters: \\p classes are not supported in \"\\pL\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct filter_set *f = NULL;
		struct err e = { 0 };

		CHECK_FAIL(filter_compile(&rows[i].filter, 1, &f, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].text);
	}
}
