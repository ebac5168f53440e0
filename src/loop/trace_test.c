/* Parents, samples, and what arrives at the sink. */
#include "loop/trace.h"

#include "base/test.h"

#include <string.h>

static const char PARENT[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct seen {
	struct trace_span span;
	struct trace_call call;
	unsigned n;
};

static void note(const struct trace_span *s, const struct trace_call *c, void *arg)
{
	struct seen *v = arg;

	v->span = *s;
	v->call = *c;
	v->n++;
}

TEST(a_parent_is_read_and_written)
{
	struct trace_id id;
	char text[TRACE_PARENT];

	trace_parse(PARENT, &id);
	CHECK(id.is_set && id.is_sampled && id.trace[0] == 0x0a && id.span[7] == 0x31);
	trace_print(&id, text);
	CHECK_STR(text, PARENT);
}

TEST(what_is_no_parent_is_none)
{
	static const char *const bad[] = {
		"",
		"00",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319cXb7ad6b7169203331-01",
	};
	struct trace_id id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		trace_parse(bad[i], &id);
		if (id.is_set)
			FAIL_("\"%s\" was taken", bad[i]);
	}
	trace_parse(NULL, &id);
	CHECK(!id.is_set);
	trace_parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", &id);
	CHECK(id.is_set && !id.is_sampled);
}

TEST(spans_follow_their_parents)
{
	struct seen seen = { 0 };
	struct trace_call call = { .kind = TRACE_SERVER };
	struct trace_span root, child;
	struct trace_id parent;

	trace_begin(&root, NULL);
	CHECK(!root.id.is_set); /* nobody listens */
	trace_set_sink(note, &seen, 1);
	trace_parse(PARENT, &parent);
	trace_begin(&root, &parent);
	trace_enter(&root.id);
	trace_begin(&child, trace_current());
	trace_end(&child, &call);
	CHECK(!memcmp(seen.span.id.trace, parent.trace, 16));
	CHECK(!memcmp(seen.span.parent, root.id.span, 8));
	CHECK(seen.call.end >= seen.span.start && seen.span.start > 0);
	trace_enter(NULL);
	CHECK(!trace_current());
	trace_end(&root, &call);
	CHECK(!memcmp(seen.span.parent, parent.span, 8) && seen.n == 2);
	trace_set_sink(NULL, NULL, 0);
}

/* The parent decides; without one the ratio. */
TEST(samples)
{
	struct seen seen = { 0 };
	struct trace_call call = { .kind = TRACE_SERVER };
	struct trace_id parent;
	struct trace_span s;

	trace_set_sink(note, &seen, 0.25);
	for (int i = 0; i < 2000; i++) {
		trace_begin(&s, NULL);
		trace_end(&s, &call);
	}
	CHECK(seen.n > 300 && seen.n < 700);
	trace_parse(PARENT, &parent);
	seen.n = 0;
	trace_begin(&s, &parent);
	trace_end(&s, &call);
	parent.is_sampled = false;
	trace_begin(&s, &parent);
	trace_end(&s, &call);
	CHECK(seen.n == 1);
	trace_set_sink(NULL, NULL, 0);
}
