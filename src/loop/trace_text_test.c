#include "loop/trace_text.h"

#include "base/jsonr.h"
#include "base/test.h"
#include "loop/trace.h"

TEST(records_in_order_in_lanes)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str log = STR_INIT(TRACE_LOG_MAX);
	struct trace_record *v;

	trace_log_put(&log, "ctr", "inner", 20, 30);
	trace_log_put(&log, "ctr", "whole", 10, 90);
	trace_log_put(&log, "ctr", "beside", 25, 40);
	trace_log_put(&log, "shim", "mount", 22, 24);
	trace_log_put(&log, "ctr", "next", 50, 60);
	CHECK(trace_text_parse(str_c(&log), a, &v) == 5);
	CHECK_STR(v[0].step, "whole");
	CHECK_STR(v[1].step, "inner");
	CHECK_STR(v[2].step, "mount");
	CHECK_STR(v[3].step, "beside");
	CHECK_STR(v[4].step, "next");
	CHECK(v[0].lane == 0 && v[1].lane == 0 && v[2].lane == 0 && v[3].lane == 1 &&
	      v[4].lane == 0);
}

TEST(what_is_no_record_is_left_out)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str log = STR_INIT(TRACE_LOG_MAX);
	struct trace_record *v;

	CHECK(trace_text_parse("", a, &v) == 0);
	CHECK(trace_text_parse("a|b|1;a|b|2|1;a|b|x|3;|||;a|b|1|2", a, &v) == 0);
	trace_log_merge(&log, "a|b\n\xff|1|2;c|d|3|4");
	CHECK_STR(str_c(&log), "a|b??|1|2;"); /* whole records of printable text */
	CHECK(trace_text_parse(str_c(&log), a, &v) == 1);
}

TEST(both_forms)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(64 << 10), svg = STR_INIT(64 << 10);
	AUTO_JSON json_object *o = NULL;
	json_object *events, *e1;
	struct err e = { 0 };
	struct trace_record *v;
	size_t n = trace_text_parse("ctr|a <\"b\">|1000|4500;init|x|2000|3001;", a, &v);

	CHECK(n == 2);
	trace_text_json(v, n, &out);
	CHECK(jsonr_parse(str_c(&out), out.len, &o, &e) == 0);
	CHECK(json_object_object_get_ex(o, "traceEvents", &events));
	CHECK(json_object_array_length(events) == 4); /* two names, two steps */
	e1 = json_object_array_get_idx(events, 1);
	CHECK_STR(json_object_get_string(json_object_object_get(e1, "name")), "a <\"b\">");
	CHECK_STR(json_object_get_string(json_object_object_get(e1, "dur")), "3.500");
	trace_text_svg(v, n, "t & t", &svg);
	CHECK(strstr(str_c(&svg), "a &#60;&#34;b&#34;&#62;"));
	CHECK(strstr(str_c(&svg), "t &#38; t"));
}

TEST(a_log_has_an_end)
{
	AUTO_STR struct str log = STR_INIT(TRACE_LOG_MAX);

	for (int i = 0; i < 5000; i++)
		trace_log_put(&log, "ctr", "step", 1, 2);
	CHECK(log.len < TRACE_LOG_MAX && !log.over);
	trace_log_enter(&log, "ctr");
	CHECK(trace_log() == &log);
	trace_log_enter(NULL, NULL);
	trace_log_add("nobody asked", 1, 2);
	{
		TRACE_STEP("neither");
	}
}
