#include "engine/restart.h"

#include "base/str.h"
#include "base/test.h"
#include "store/label.h"

static bool wanted(const char *policy, const char *count, const char *stopped, uint32_t status)
{
	struct label v[] = { { "containerd.io/restart.policy", policy },
			     { "containerd.io/restart.count", count },
			     { "containerd.io/restart.explicitly-stopped", stopped } };
	const struct labels l = { v, 3 };

	return restart_is_wanted(&l, status);
}

TEST(policies)
{
	static const struct {
		const char *policy, *count, *stopped;
		uint32_t status;
		bool want;
	} cases[] = {
		{ "", "", "", 0, true },
		{ "always", "99", "true", 0, true },
		{ "no", "", "", 1, false },
		{ "nonsense", "", "", 1, false },
		{ "on-failure", "", "", 1, true },
		{ "on-failure", "", "", 0, false },
		{ "on-failure:3", "2", "", 1, true },
		{ "on-failure:3", "3", "", 1, false },
		{ "on-failure:x", "", "", 1, false },
		{ "on-failures", "", "", 1, false },
		{ "on-failure:3", "x", "", 1, false },
		{ "unless-stopped", "", "", 0, true },
		{ "unless-stopped", "", "true", 1, false },
		{ "unless-stopped", "", "false", 1, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (wanted(cases[i].policy, cases[i].count, cases[i].stopped, cases[i].status) !=
		    cases[i].want)
			FAIL_("case %zu: %s", i, cases[i].policy);
}

static void join(const char *s, void *arg)
{
	str_addf(arg, "%s|", s);
}

TEST(strings_of_a_text)
{
	static const char text[] =
		"{\"a\":[\"b\\u002fc\",1,\"\\\"d\\\\\"],\"k\xc5\xbf\":\"\\u017f\",\"";
	AUTO_STR struct str all = STR_INIT(100);

	restart_each_string(text, sizeof text - 1, join, &all);
	CHECK_STR(str_c(&all), "a|b/c|\"d\\|k\x7f\x7f|\x7f||");
}

TEST(fields_in_a_disguise)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "{\"config\":{\"mediaType\":\"x\",\"digest\":\"y\"}}", false },
		{ "{\"config\":{},\"Config\":{}}", true },
		{ "{\"manife\xc5\xbfts\":[]}", true },
		{ "{\"manife\\u017fts\":[]}", true },
		{ "{\"\\u0043onfig\":[]}", true },
		{ "{\"mediatype\":\"\"}", true },
		{ "{\"configs\":1,\"conf\":2,\"\":3,\"\xc3\xa4\":4}", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (restart_is_disguised(cases[i].text, strlen(cases[i].text)) != cases[i].want)
			FAIL_("case %zu: %s", i, cases[i].text);
}
