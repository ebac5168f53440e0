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

TEST(a_queue_that_never_empties_stays_small)
{
	AUTO_STR struct str s = STR_INIT(1 << 30);
	char block[1000], last = 0;
	size_t at = 0;

	for (int i = 0; i < 10000; i++) {
		memset(block, 'a' + i % 26, sizeof block);
		str_addn(&s, block, sizeof block);
		at += i ? sizeof block : 10; /* always 990 bytes behind */
		str_compact(&s, &at);
		last = s.ptr[at];
		CHECK(s.len - at == 990 && s.ptr[s.len] == 0);
	}
	CHECK(s.cap < 1 << 19);
	CHECK(last == 'a' + 9999 % 26);
}

TEST(lists_own_their_strings)
{
	AUTO_STRV struct strv l = { 0 };

	for (int i = 0; i < 20; i++)
		strv_addf(&l, "%d", i);
	CHECK(l.n == 20 && !l.v[20] && strv_has(&l, "19") && !strv_has(&l, "20"));
}
