#include "cmd/ctr/table.h"

#include "cmd/ctr/ctr.h"

#include "base/test.h"

#include <time.h>

static void check_table(struct table *t, const char *want)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	table_print(t, f);
	fclose(f);
	CHECK_STR(text, want);
	free(text);
}

TEST(tables_are_the_originals)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct table tasks = TABLE_WIDE(a), images = TABLE_NARROW(a);

	table_row(&tasks, "TASK", "PID", "STATUS", "", NULL);
	check_table(&tasks, "TASK    PID    STATUS    \n");
	table_row(&tasks, "c1", "12278", "RUNNING", NULL);
	check_table(&tasks, "TASK    PID      STATUS    \nc1      12278    RUNNING\n");

	table_row(&images, "REF", "SIZE", "LABELS", "", NULL);
	table_row(&images, "é:1", "1.9 MiB", "-", "", NULL);
	check_table(&images, "REF SIZE    LABELS \né:1 1.9 MiB -      \n");
}

TEST(an_empty_column_keeps_its_padding)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct table t = TABLE_NARROW(a);

	table_row(&t, "KEY", "PARENT", "KIND", "", NULL);
	table_row(&t, "a", "", "Active", "", NULL);
	check_table(&t, "KEY PARENT KIND   \na          Active \n");
}

TEST(tabs_reach_the_next_stop)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct table t = TABLE_TABS(a);

	table_row(&t, "REF", "SIZE", "AGE", "", NULL);
	table_row(&t, "1234567", "0B", "About a minute", "", NULL);
	table_row(&t, "12345678", "0B", "1 second", "", NULL);
	check_table(&t, "REF\t\tSIZE\tAGE\t\t\n"
			"1234567\t\t0B\tAbout a minute\t\n"
			"12345678\t0B\t1 second\t\n");
}

TEST(sizes_and_ages)
{
	struct arena *a AUTO_ARENA = arena_new();
	static const struct {
		int64_t seconds;
		const char *want;
	} ages[] = { { 0, "Less than a second" }, { 1, "1 second" },
		     { 59, "59 seconds" },        { 61, "About a minute" },
		     { 180, "3 minutes" },        { 3700, "About an hour" },
		     { 7300, "2 hours" },         { 86400 * 3, "3 days" },
		     { 86400 * 21, "3 weeks" } };

	CHECK_STR(size_binary(a, 0), "0.0 B");
	CHECK_STR(size_binary(a, 1984000), "1.9 MiB");
	CHECK_STR(size_binary(a, 4096), "4.0 KiB");
	CHECK_STR(size_human(a, 2007040), "2.007MB");
	CHECK_STR(size_human(a, 417), "417B");
	CHECK_STR(size_human(a, 1000), "1kB");
	for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
		Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

		t.seconds = time(NULL) - ages[i].seconds;
		CHECK_STR(age_text(a, &t), ages[i].want);
	}
}

TEST(times)
{
	struct arena *a AUTO_ARENA = arena_new();
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	t.seconds = 1795465585;
	t.nanos = 955832342;
	CHECK_STR(time_rfc3339(a, &t), "2026-11-23T20:26:25.955832342Z");
	CHECK_STR(time_go(a, &t), "2026-11-23 20:26:25.955832342 +0000 UTC");
	CHECK_STR(time_rfc3339(a, NULL), "0001-01-01T00:00:00Z");
}

TEST(labels)
{
	static const char *const words[] = { "b=2", "a=1=x", "c", "b=3", "d=" };
	struct arena *a AUTO_ARENA = arena_new();
	struct labels l = { 0 }, sorted;
	struct entry **pb;

	labels_parse(a, words, ARRAY_LEN(words), &l);
	CHECK(l.n == 4);
	CHECK_STR(labels_get(&l, "b"), "3");
	CHECK_STR(labels_get(&l, "a"), "1=x");
	CHECK_STR(labels_get(&l, "c"), "true");
	CHECK_STR(labels_get(&l, "d"), "");
	CHECK(!labels_get(&l, "e"));
	CHECK_STR(labels_mask(a, &l)[0], "labels.b");
	pb = labels_to_pb(a, &l,
			  &containerd__services__images__v1__image__labels_entry__descriptor);
	labels_from_pb(a, pb, l.n, &sorted);
	CHECK_STR(labels_text(a, &sorted), "a=1=x,b=3,c=true,d=");
}

TEST(foreign_text_steers_no_terminal)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "plain é 日本 🐳", "plain é 日本 🐳" },
		{ "\x1b]0;x\x07\x1b[31m", "?]0;x??[31m" },
		{ "a\nb\tc\rd\x7f", "a?b?c?d?" },
		{ "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "???\xc2\xa0" },
		{ "\x9b\xff\xc3", "???" }, /* no UTF-8: the middle of a character, nothing, half */
		{ "\xe0\x80\x9b", "???" }, /* C1 in more bytes than it needs */
		{ "", "" },
	};
	struct arena *a AUTO_ARENA = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(shown(a, rows[i].text), rows[i].want);
	CHECK(shown(a, rows[0].text) == rows[0].text);

	char *cut = printable("aé", 2);

	CHECK_STR(cut, "a?");
	free(cut);
}

TEST(lines_and_columns_of_ours_stay)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	ctr_print(f, "a\t%s\nb\n", "\x1b[0m\r\xc2\x9b");
	fclose(f);
	CHECK_STR(text, "a\t?[0m??\nb\n");
	free(text);
}

TEST(cells_are_cleaned_before_they_are_measured)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct table t = TABLE_NARROW(a);

	table_row(&t, "A", "B", NULL);
	table_row(&t, "\xc2\x9bx", "y\nz", NULL);
	check_table(&t, "A  B\n?x y?z\n");
}
