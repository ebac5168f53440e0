#include "cmd/ctr/container.h"

#include "base/test.h"
#include "cmd/ctr/task.h"

static const struct command run = {
	.name = "run",
	.flags = { run_flags, platform_flags, snapshotter_flags, container_flags, network_flags },
};

static const char *const entrypoint[] = { "/entry", NULL };
static const char *const cmd[] = { "default", "arg", NULL };
static const char *const env[] = { "PATH=/bin", NULL };

/* The spec for a command line, or the error's sentence. */
static char *build(const char *const *argv)
{
	struct arena *a AUTO_ARENA = arena_new();
	struct ctr ctr = { .arena = a, .ns = "default" };
	struct image img = { .config = { .entrypoint = (const char **)(uintptr_t)entrypoint,
					 .cmd = (const char **)(uintptr_t)cmd,
					 .env = (const char **)(uintptr_t)env,
					 .working_dir = "/work" } };
	struct err e = { 0 };
	struct generate g;
	struct args args;
	bool help = false;
	char *spec;

	if (args_parse(a, &run, argv, &args, &help, &e) < 0 ||
	    spec_from_args(&ctr, &args, &img, "c1", &g, &e) < 0 || generate_spec(&g, &spec, &e) < 0)
		return xstrdup(e.msg);
	return spec;
}

TEST(options_reach_the_spec)
{
	static const struct {
		const char *argv[9], *want;
	} cases[] = {
		{ { "img", "c1" },
		  "\"args\":[\"/entry\",\"default\",\"arg\"],\"env\":[\"PATH=/bin\"],"
		  "\"cwd\":\"/work\"" },
		{ { "img", "c1", "echo", "-n" }, "\"args\":[\"/entry\",\"echo\",\"-n\"]" },
		{ { "img", "c1" }, "\"cgroupsPath\":\"/default/c1\"" },
		{ { "img", "c1" }, "\"cpu\":{\"shares\":1024}" },
		{ { "--cgroup", "/x", "img", "c1" }, "\"cgroupsPath\":\"/x\"" },
		{ { "--cwd", "/tmp", "img", "c1" }, "\"cwd\":\"/tmp\"" },
		{ { "--env", "A=b", "--env", "PATH=/x", "img", "c1" },
		  "\"env\":[\"PATH=/x\",\"A=b\"]" },
		{ { "-t", "img", "c1" }, "\"env\":[\"PATH=/bin\",\"TERM=xterm\"]" },
		{ { "--memory-limit", "512m", "img", "c1" }, "\"memory\":{\"limit\":536870912}" },
		{ { "--memory-limit", "1000000", "img", "c1" }, "\"memory\":{\"limit\":1000000}" },
		{ { "--cpus", "1.5", "img", "c1" },
		  "\"cpu\":{\"shares\":1024,\"quota\":150000,\"period\":100000}" },
		{ { "--cpu-quota", "5000", "--cpu-period", "10000", "img", "c1" },
		  "\"quota\":5000,\"period\":10000" },
		{ { "--cpuset-cpus", "0-1,3", "--cpuset-mems", "0", "img", "c1" },
		  "\"cpu\":{\"shares\":1024,\"cpus\":\"0-1,3\",\"mems\":\"0\"}" },
		{ { "--rdt-class", "gold", "img", "c1" }, "\"intelRdt\":{\"closID\":\"gold\"}" },
		{ { "--privileged", "--privileged-without-host-devices", "img", "c1" },
		  "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}" },
		{ { "--privileged-without-host-devices", "img", "c1" },
		  "can't use 'privileged-without-host-devices' without 'privileged' specified" },
		{ { "--pids-limit", "9", "img", "c1" }, "\"pids\":{\"limit\":9}" },
		{ { "--mount", "type=bind,src=/a,dst=/b,options=rbind:ro", "img", "c1" },
		  "{\"destination\":\"/b\",\"type\":\"bind\",\"source\":\"/"
		  "a\",\"options\":[\"rbind\","
		  "\"ro\"]}" },
		{ { "--with-ns", "ipc:/proc/1/ns/ipc", "img", "c1" },
		  "{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"}" },
		{ { "--net-host", "img", "c1" },
		  "{\"destination\":\"/etc/resolv.conf\",\"type\":\"bind\",\"source\":"
		  "\"/etc/resolv.conf\",\"options\":[\"rbind\",\"ro\"]}" },
		{ { "--label", "a=b", "--annotation", "c=d", "img", "c1" },
		  "\"annotations\":{\"a\":\"b\",\"c\":\"d\"}" },
		{ { "--hostname", "box", "img", "c1" }, "\"hostname\":\"box\"" },
		{ { "--seccomp", "img", "c1" },
		  "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\"" },
		{ { "--seccomp", "--cap-add", "CAP_SYS_TIME", "img", "c1" }, "\"clock_settime\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got AUTO_FREE = build(cases[i].argv);

		if (!strstr(got, cases[i].want))
			FAIL_("case %zu: no %s in %s", i, cases[i].want, got);
	}
}

TEST(wrong_wishes)
{
	static const struct {
		const char *argv[6], *want;
	} cases[] = {
		{ { "--mount", "foo=bar", "i", "c" }, "mount option \"foo\" not supported" },
		{ { "--mount", "type", "i", "c" },
		  "invalid mount specification: expected key=val" },
		{ { "--mount", "type=tmpfs", "i", "c" }, "mount \"type=tmpfs\" has no dst" },
		{ { "--with-ns", "foo", "i", "c" },
		  "joining a Linux namespace using --with-ns "
		  "requires the format 'nstype:path'" },
		{ { "--with-ns", "foo:/x", "i", "c" },
		  "the Linux namespace type specified in --with-ns is not valid: foo" },
		{ { "--memory-limit", "-1", "i", "c" },
		  "invalid value \"-1\" for flag -memory-limit" },
		{ { "--memory-limit", "99999999999999999999", "i", "c" },
		  "invalid value \"99999999999999999999\" for flag -memory-limit" },
		{ { "--cpus", "-1", "i", "c" }, "invalid value for flag -cpus" },
		{ { "--cpus", "1", "--cpu-quota", "5", "i", "c" },
		  "cpus and quota/period should be used separately" },
		{ { "--seccomp-profile", "/x", "i", "c" },
		  "seccomp must be set to true, before using seccomp-profile" },
		{ { "--device", "/proc/self/status", "i", "c" },
		  "/proc/self/status: not a device node" },
		{ { "--cap-add", "CAP_X", "i", "c" }, "unknown capability \"CAP_X\"" },
		{ { "--env-file", "/nonexistent", "i", "c" },
		  "read /nonexistent: no such file or directory" },
		{ { "--gpus", "0", "i", "c" },
		  "--gpus: exec: \"nvidia-container-cli\": executable file not found in $PATH" },
		{ { "--gpus", "0,x", "i", "c" }, "invalid value \"0,x\" for flag -gpus" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *got AUTO_FREE = build(cases[i].argv);

		CHECK_STR(got, cases[i].want);
	}
}

TEST(the_default_profile_is_a_valid_spec)
{
	static const char *const argv[] = { "--seccomp", "img", "c1", NULL };
	struct arena *a AUTO_ARENA = arena_new();
	char *got AUTO_FREE = build(argv);
	struct oci_spec *spec;
	struct err e = { 0 };

	CHECK_OK(oci_spec_parse(a, got, strlen(got), &spec, &e), &e);
	CHECK(spec->linux.seccomp->n_syscalls > 5);
	CHECK(!strstr(got, "io_uring_setup") && !strstr(got, "\"umount2\""));
}

TEST(signals)
{
	static const struct {
		const char *word;
		uint32_t want; /* 0: refused */
	} cases[] = { { "SIGKILL", 9 },  { "kill", 9 }, { "TERM", 15 },   { "sigusr1", 10 },
		      { "9", 9 },        { "FOO", 0 },  { "", 0 },        { "SIG", 0 },
		      { "RTMIN+3", 37 }, { "-1", 0 },   { "RTMIN+99", 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		uint32_t got = 0;
		int r = signal_parse(cases[i].word, &got, &e);

		CHECK(cases[i].want ? r == 0 && got == cases[i].want : r < 0);
	}
}
