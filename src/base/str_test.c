#include "base/str.h"
#include "base/test.h"

TEST(strings_end_at_their_maximum)
{
	AUTO_STR struct str s = STR_INIT(4);

	CHECK_STR(str_c(&s), "");
	str_add(&s, "abc");
	str_addf(&s, "%d", 45);
	CHECK(s.over && s.len == 3);
	CHECK_STR(str_c(&s), "abc");
	str_reset(&s);
	str_addc(&s, 'x');
	CHECK(!s.over);
	CHECK_STR(str_c(&s), "x");
}

TEST(base64_pads)
{
	static const char *const rows[][2] = {
		{ "", "" },        { "a", "YQ==" },        { "ab", "YWI=" },
		{ "abc", "YWJj" }, { "abcd", "YWJjZA==" }, { "\xff\xef\xbe", "/+++" }
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_STR struct str s = STR_INIT(100);

		str_add_base64(&s, rows[i][0], strlen(rows[i][0]));
		CHECK_STR(str_c(&s), rows[i][1]);
	}
}

TEST(lists_own_their_strings)
{
	AUTO_STRV struct strv l = { 0 };

	for (int i = 0; i < 20; i++)
		strv_addf(&l, "%d", i);
	CHECK(l.n == 20 && !l.v[20] && strv_has(&l, "19") && !strv_has(&l, "20"));
}
