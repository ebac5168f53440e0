#include "base/jsonw.h"
#include "base/test.h"

TEST(json_is_quoted)
{
	AUTO_STR struct str s = STR_INIT(1000);

	jsonw_quote(&s, "a\"\\\n\x01é\xff");
	CHECK_STR(str_c(&s), "\"a\\\"\\\\\\n\\u0001é\\ufffd\"");
}

TEST(json_writer_puts_commas)
{
	AUTO_STR struct str s = STR_INIT(1000);
	struct jsonw w;

	jsonw_init(&w, &s, 0);
	jsonw_object(&w);
	jsonw_kstring(&w, "a", "b");
	jsonw_key(&w, "l");
	jsonw_array(&w);
	jsonw_u64(&w, UINT64_MAX);
	jsonw_bool(&w, false);
	jsonw_end(&w);
	jsonw_key(&w, "e");
	jsonw_object(&w);
	jsonw_end(&w);
	jsonw_end(&w);
	CHECK_STR(str_c(&s), "{\"a\":\"b\",\"l\":[18446744073709551615,false],\"e\":{}}");
}

TEST(strings_never_pass_their_maximum)
{
	AUTO_STR struct str s = STR_INIT(3);

	str_add(&s, "abc");
	CHECK(!s.over);
	str_addc(&s, 'd');
	CHECK(s.over && s.len == 3);
	CHECK_STR(str_c(&s), "abc");
}

TEST(json_escapes_what_steers_terminals)
{
	AUTO_STR struct str s = STR_INIT(1000);

	jsonw_quote(&s, "\x1b[31m\xc2\x9b\xc2\x80\xc2\x9f\xc2\xa0\x7f");
	CHECK_STR(str_c(&s), "\"\\u001b[31m\\u009b\\u0080\\u009f\xc2\xa0\\u007f\"");
}
