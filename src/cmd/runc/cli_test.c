#include "cmd/runc/cli.h"

#include "base/mem.h"
#include "base/test.h"

#define O(field) offsetof(struct options, field)
static const struct option table[] = {
	{ "all", "a", OPTION_BOOL, O(all), "all" },
	{ "bundle", "b", OPTION_STRING, O(bundle), "bundle" },
	{ "preserve-fds", NULL, OPTION_INT, O(preserve_fds), "number" },
	{ "env", "e", OPTION_LIST, O(env), "list" },
	{ "additional-gids", "g", OPTION_NUMBERS, O(gids), "numbers" },
	{ NULL },
};

struct parsed {
	struct options o;
	uint64_t given;
	char *args[16];
	int n;
	struct err e;
};

/* "-a x --env A=1": words by single spaces. */
static void parse(struct parsed *p, bool any_order, const char *line)
{
	static char copy[256];
	char *argv[16];
	int argc = 0;

	*p = (struct parsed){ 0 };
	snprintf(copy, sizeof copy, "%s", line);
	for (char *w = copy; *w; argc++) {
		size_t n = strcspn(w, " ");

		argv[argc] = w;
		w += n;
		if (*w)
			*w++ = 0;
	}
	p->n = cli_parse(table, argc, argv, any_order, &p->o, &p->given, p->args, &p->e);
}

TEST(values_behind_equals_and_as_next_word)
{
	struct parsed p;

	parse(&p, false, "-a --bundle=x -preserve-fds 3 -e A=1 --env B= id rest");
	CHECK(p.n == 2 && p.o.all && p.o.preserve_fds == 3 && p.given == 0xf);
	CHECK_STR(p.o.bundle, "x");
	CHECK(p.o.env.n == 2);
	CHECK_STR(p.o.env.v[1], "B=");
	CHECK_STR(p.args[0], "id");
	CHECK_STR(p.args[1], "rest");
	CHECK(!p.args[2]);
	strv_done(&p.o.env);
}

TEST(options_behind_other_words)
{
	struct parsed p;

	parse(&p, true, "id -a --bundle x KILL -9 -- -a");
	CHECK(p.o.all && p.n == 5);
	CHECK_STR(p.o.bundle, "x");
	CHECK_STR(p.args[1], "KILL");
	CHECK_STR(p.args[2], "-9"); /* no option of ours: a word */
	CHECK_STR(p.args[3], "--");
	CHECK_STR(p.args[4], "-a");
	parse(&p, false, "id -a");
	CHECK(!p.o.all && p.n == 2);
	parse(&p, true, "-- -a");
	CHECK(!p.o.all && p.n == 1);
	parse(&p, false, "- -a");
	CHECK(!p.o.all && p.n == 2);
}

TEST(help_is_every_tables)
{
	struct parsed p;

	parse(&p, true, "id -h");
	CHECK(p.o.help && p.n == 1);
	parse(&p, true, "--help=false id");
	CHECK(!p.o.help && p.n == 1);
}

TEST(what_is_wrong_is_said_as_go_says_it)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{ "--bogus x", "flag provided but not defined: -bogus" },
		{ "--bogus=1", "flag provided but not defined: -bogus" },
		{ "--bundle", "flag needs an argument: -bundle" },
		{ "-b", "flag needs an argument: -b" },
		{ "id -b", "flag needs an argument: -b" },
		{ "--all=maybe", "invalid boolean value \"maybe\" for -all: parse error" },
		{ "--preserve-fds x", "invalid value \"x\" for flag -preserve-fds: parse error" },
		{ "-g 1 -g x", "invalid value \"x\" for flag -g: strconv.ParseInt: parsing \"x\": "
			       "invalid syntax" },
		{ "--additional-gids=99999999999999999999",
		  "invalid value \"99999999999999999999\" for flag -additional-gids: "
		  "strconv.ParseInt: "
		  "parsing \"99999999999999999999\": value out of range" },
		{ "--preserve-fds 99999999999",
		  "invalid value \"99999999999\" for flag -preserve-fds: parse error" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed p;

		parse(&p, true, rows[i].line);
		CHECK(p.n < 0);
		CHECK_STR(p.e.msg, rows[i].text);
		strv_done(&p.o.gids);
	}
}

TEST(booleans_in_gos_words)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	static const char *const none[] = { "", "yes", "tRUE", "10", "truefalse" };
	bool b;

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		CHECK(cli_parse_bool(yes[i], &b) && b);
		CHECK(cli_parse_bool(no[i], &b) && !b);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		CHECK(!cli_parse_bool(none[i], &b));
}
