#include "shim/args.h"

#include "base/mem.h"
#include "base/test.h"

static int parse(const char *line, struct shim_args *ret, struct err *e)
{
	static char words[500];
	static char *argv[32];
	int argc = 0;

	snprintf(words, sizeof words, "%s", line);
	for (char *p = words; *p;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = 0;
	}
	return shim_args_parse(argc, argv, ret, e);
}

TEST(a_daemon_s_start)
{
	struct shim_args a;
	struct err e = { 0 };

	setenv("TTRPC_ADDRESS", "/run/x.ttrpc", 1);
	setenv("MAX_SHIM_VERSION", "2", 1);
	CHECK_OK(
		parse("shim -namespace k8s.io -address /run/c.sock -publish-binary /bin/containerd "
		      "-id c1 start",
		      &a, &e),
		&e);
	CHECK_STR(a.ns, "k8s.io");
	CHECK_STR(a.address, "/run/c.sock");
	CHECK_STR(a.publish_binary, "/bin/containerd");
	CHECK_STR(a.id, "c1");
	CHECK_STR(a.action, "start");
	CHECK_STR(a.ttrpc_address, "/run/x.ttrpc");
	CHECK(!a.debug && !a.info && a.has_max_version && a.max_version == 2);
}

TEST(go_s_flag_syntax)
{
	static const struct {
		const char *line, *id, *action;
		bool debug;
	} rows[] = {
		{ "shim --id=a delete", "a", "delete", false },
		{ "shim -debug -id a", "a", "", true },
		{ "shim -debug=false -id= start", "", "start", false },
		{ "shim -debug=T -id a -- -start", "a", "-start", true },
		{ "shim -id -debug start", "-debug", "start", false },
		{ "shim start -id a", "", "start", false },
		{ "shim - -id a", "", "-", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct shim_args a;
		struct err e = { 0 };

		CHECK_OK(parse(rows[i].line, &a, &e), &e);
		CHECK_STR(a.id, rows[i].id);
		CHECK_STR(a.action, rows[i].action);
		CHECK(a.debug == rows[i].debug);
	}
}

TEST(wrong_lines)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{ "shim -nope start", "flag provided but not defined: -nope" },
		{ "shim -id", "flag needs an argument: -id" },
		{ "shim ---id a", "bad flag syntax: ---id" },
		{ "shim -=a", "bad flag syntax: -=a" },
		{ "shim -debug=maybe", "invalid boolean value \"maybe\" for -debug: parse error" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct shim_args a;
		struct err e = { 0 };

		CHECK_FAIL(parse(rows[i].line, &a, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, rows[i].text);
	}
}
