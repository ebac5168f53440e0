#include "cmd/ctr/cli.h"

#include "base/test.h"

static const struct flag flags[] = {
	{ "tty", FLAG_BOOL, "t", "a terminal" },
	{ "env", FLAG_LIST, NULL, "variables" },
	{ "cwd", FLAG_STRING, NULL, "folder", "/", "CTR_TEST_CWD" },
	{ "shares", FLAG_UINT, "s", "shares", "1024" },
	{ "quota", FLAG_INT, NULL, "quota", "-1" },
	{ "cpus", FLAG_FLOAT, NULL, "processors", "0" },
	{ "wait", FLAG_DURATION, NULL, "how long", "10s" },
	{ .name = "gpus", .type = FLAG_LIST, .help = "cards", .missing = "not supported yet" },
	{ .name = "cni", .type = FLAG_BOOL, .help = "network", .missing = "not supported yet" },
	{ NULL },
};

static const struct command command = {
	.name = "run",
	.usage = "run a container",
	.args_usage = "[flags] ID",
	.flags = { flags },
};

static int parse(struct arena *a, struct args *ret, bool *help, struct err *e,
		 const char *const *argv)
{
	*help = false;
	return args_parse(a, &command, argv, ret, help, e);
}
#define PARSE(...) parse(a, &args, &help, &e, (const char *const[]){ __VA_ARGS__, NULL })

TEST(options_as_go_reads_them)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct args args;
	bool help;
	size_t n;

	CHECK_OK(PARSE("-t", "--env", "A=1", "-env=B=2", "--shares=7", "--cpus", "0.5", "--wait",
		       "1m30s", "--quota", "-5", "id", "--tty=false", "-x"),
		 &e);
	CHECK(args_bool(&args, "tty"));
	CHECK_STR(args_list(&args, "env", &n)[1], "B=2");
	CHECK(n == 2);
	CHECK(args_uint(&args, "shares") == 7);
	CHECK(args_float(&args, "cpus") == 0.5);
	CHECK(args_duration(&args, "wait") == 90000000000);
	CHECK(args_int(&args, "quota") == -5);
	CHECK(args.n == 3); /* options end at the first argument */
	CHECK_STR(args_at(&args, 2), "-x");
	CHECK_STR(args_at(&args, 9), "");
}

TEST(values_that_are_absent)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct args args;
	bool help;

	unsetenv("CTR_TEST_CWD");
	CHECK_OK(PARSE("--", "-t"), &e);
	CHECK(!args_bool(&args, "tty"));
	CHECK(args.n == 1);
	CHECK_STR(args_string(&args, "cwd"), "/");
	CHECK(!args_is_set(&args, "cwd"));
	CHECK(args_int(&args, "quota") == -1);
	CHECK(args_duration(&args, "wait") == 10000000000);
	setenv("CTR_TEST_CWD", "/tmp", 1);
	CHECK_STR(args_string(&args, "cwd"), "/tmp");
	CHECK(args_is_set(&args, "cwd"));
	unsetenv("CTR_TEST_CWD");
}

TEST(the_last_value_wins_and_false_is_false)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct err e = { 0 };
	struct args args;
	bool help;

	CHECK_OK(PARSE("-t", "--tty=false", "--cwd", "/a", "--cwd", "/b", "--cni=false"), &e);
	CHECK(!args_bool(&args, "tty"));
	CHECK_STR(args_string(&args, "cwd"), "/b");
	CHECK_OK(PARSE("-h"), &e);
	CHECK(help);
}

TEST(sentences_of_wrong_options)
{
	static const struct {
		const char *argv[4], *want;
	} cases[] = {
		{ { "--foo" }, "flag provided but not defined: -foo" },
		{ { "-tq" }, "flag provided but not defined: -tq" },
		{ { "--cpus", "x" }, "invalid value \"x\" for flag -cpus: parse error" },
		{ { "--shares", "-1" }, "invalid value \"-1\" for flag -shares: parse error" },
		{ { "--shares=99999999999999999999" },
		  "invalid value \"99999999999999999999\" for flag -shares: parse error" },
		{ { "--wait", "5" }, "invalid value \"5\" for flag -wait: parse error" },
		{ { "--tty=maybe" }, "invalid value \"maybe\" for flag -tty: parse error" },
		{ { "--cwd" }, "flag needs an argument: -cwd" },
		{ { "---x" }, "bad flag syntax: ---x" },
		{ { "--=x" }, "bad flag syntax: --=x" },
		{ { "--gpus", "0" }, "option --gpus is not supported yet" },
		{ { "--cni" }, "option --cni is not supported yet" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a AUTO_ARENA = arena_new();
		struct err e = { 0 };
		struct args args;
		bool help;

		CHECK(parse(a, &args, &help, &e, cases[i].argv) < 0);
		CHECK_STR(e.msg, cases[i].want);
	}
}

TEST(commands_by_name_and_alias)
{
	static const struct command list[] = {
		{ .name = "images", .aliases = "image i" },
		{ .name = "delete", .aliases = "del remove rm" },
		{ .name = NULL },
	};

	CHECK(command_find(list, "images") == &list[0]);
	CHECK(command_find(list, "i") == &list[0]);
	CHECK(command_find(list, "rm") == &list[1]);
	CHECK(command_find(list, "remove") == &list[1]);
	CHECK(!command_find(list, "imag"));
	CHECK(!command_find(list, "image i"));
	CHECK(!command_find(list, ""));
}

TEST(help_is_made_of_the_table)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	help_command(f, &command, "ctr run");
	fclose(f);
	CHECK(strstr(text,
		     "NAME:\n   ctr run - run a container\n\nUSAGE:\n   ctr run [command options] "
		     "[flags] ID\n\nOPTIONS:\n"));
	CHECK(strstr(text, "   --tty, -t                 a terminal\n"));
	CHECK(strstr(text, "   --shares value, -s value  shares (default: 1024)\n"));
	CHECK(strstr(text,
		     "   --cwd value               folder (default: \"/\") [$CTR_TEST_CWD]\n"));
	CHECK(strstr(text, "   --cni                     network (not supported yet)\n"));
	free(text);
}

TEST(durations)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: refused */
	} cases[] = { { "0", 0 },
		      { "1s", 1000000000 },
		      { "1.5h", 5400000000000 },
		      { "2m3s", 123000000000 },
		      { "7ns", 7 },
		      { "", -1 },
		      { "5", -1 },
		      { "s", -1 },
		      { "-1s", -1 },
		      { "1d", -1 },
		      { "1s ", -1 },
		      { "1e30h", -1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ns = 0;
		int r = duration_parse(cases[i].text, &ns);

		CHECK(cases[i].ns < 0 ? r < 0 : r == 0 && ns == (uint64_t)cases[i].ns);
	}
}
