#include "runtime/plan.h"

#include "base/test.h"
#include "runtime/caps.h"
#include "runtime/passwd.h"

#define HEAD "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},"
#define PROCESS "\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"]}"
#define NAMESPACES "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"uts\"}]"

static int make(struct arena *a, const char *text, struct plan *p, struct err *e)
{
	struct plan_input in = { .id = "c", .bundle = "/b" };
	struct oci_spec *s = NULL;

	CHECK_OK(oci_spec_parse(a, text, strlen(text), &s, e), e);
	in.spec = s;
	return plan_make(a, &in, p, e);
}

static void check_plan(const char *text, const char *want)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(1 << 20);
	struct err e = { 0 };
	struct plan p;

	CHECK_OK(make(a, text, &p, &e), &e);
	plan_print(&p, &out);
	CHECK_STR(str_c(&out), want);
	plan_done(&p);
}

TEST(golden)
{
	check_plan(
		HEAD PROCESS
		",\"mounts\":[{\"destination\":\"/proc/\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/"
		"dev\",\"type\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\"]},"
		"{\"destination\":\"/d/../v\",\"type\":\"bind\",\"source\":\"/"
		"s\",\"options\":[\"rbind\",\"ro\",\"rslave\"]},"
		"{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"options\":[\"ro\"]},"
		"{\"destination\":\"/x\",\"type\":\"ext4\",\"source\":\"/dev/"
		"x\",\"options\":[\"ro\",\"rw\",\"ro\",\"sync\"]}],"
		"\"hostname\":\"h\",\"linux\":{\"maskedPaths\":[\"/proc/"
		"kcore\"],\"readonlyPaths\":[\"/proc/sys\"],"
		"\"devices\":[{\"path\":\"/dev/"
		"null\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":438}],"
		"\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\","
		"\"path\":\"/n\"}]}}",
		"join network /n\n"
		"new mount uts\n"
		"root /b/rootfs\n"
		"mount /proc type proc\n"
		"mount /dev type tmpfs nosuid strictatime mode=755\n"
		"rbind /v from /s ro rslave\n"
		"cgroup /sys/fs/cgroup ro\n"
		"mount /x type ext4 ro sync ro\n"
		"device /dev/null c 1:3 0666 0:0\n"
		"device /dev/zero c 1:5 0666 0:0\n"
		"device /dev/full c 1:7 0666 0:0\n"
		"device /dev/random c 1:8 0666 0:0\n"
		"device /dev/urandom c 1:9 0666 0:0\n"
		"device /dev/tty c 5:0 0666 0:0\n"
		"readonly /proc/sys\n"
		"mask /proc/kcore\n"
		"hostname h\n"
		"user 0:0 groups 0\n"
		"chdir /\n"
		"exec sh\n");
}

TEST(golden_process)
{
	check_plan(HEAD "\"process\":{\"cwd\":\"/"
			"w\",\"user\":{\"uid\":1,\"gid\":2,\"additionalGids\":[2,3],\"umask\":18},"
			"\"args\":[\"a\",\"b\"],\"env\":[\"A=1\",\"B=2\",\"A=3\"],"
			"\"noNewPrivileges\":true,\"oomScoreAdj\":-5,"
			"\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_NEW_ONE\"]},"
			"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":2}]},"
			"\"linux\":{" NAMESPACES "}}",
		   "new pid mount uts\n"
		   "root /b/rootfs\n"
		   "device /dev/null c 1:3 0666 0:0\n"
		   "device /dev/zero c 1:5 0666 0:0\n"
		   "device /dev/full c 1:7 0666 0:0\n"
		   "device /dev/random c 1:8 0666 0:0\n"
		   "device /dev/urandom c 1:9 0666 0:0\n"
		   "device /dev/tty c 5:0 0666 0:0\n"
		   "rlimit RLIMIT_NOFILE 1 2\n"
		   "oom_score_adj -5\n"
		   "caps bounding CAP_KILL\n"
		   "caps effective\n"
		   "caps inheritable\n"
		   "caps permitted\n"
		   "caps ambient\n"
		   "user 1:2 groups 2 3 umask 0022\n"
		   "no_new_privs\n"
		   "chdir /w\n"
		   "exec a b\n");
}

TEST(golden_labels_and_time)
{
	check_plan(HEAD PROCESS
		   ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"},"
		   "{\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"mode=1\"]},"
		   "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\"},"
		   "{\"destination\":\"/dev\",\"source\":\"/dev\",\"options\":[\"rbind\"]}],"
		   "\"domainname\":\"d\",\"linux\":{\"netDevices\":{\"e0\":{\"name\":\"in0\"},"
		   "\"e1\":{}},\"mountLabel\":\"u:r:t:s0:c1,c2\","
		   "\"rootfsPropagation\":\"runbindable\","
		   "\"timeOffsets\":{\"boottime\":{\"secs\":-1,\"nanosecs\":2},\"monotonic\":{}},"
		   "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"time\"},"
		   "{\"type\":\"network\"}]}}",
		   "new network mount uts time\n"
		   "time boottime -1 2\nmonotonic 0 0\n"
		   "root /b/rootfs runbindable\n"
		   "mount /proc type proc\n"
		   "mount /t type tmpfs mode=1 context=u:r:t:s0:c1,c2\n"
		   "mount /dev/mqueue type mqueue context=u:r:t:s0:c1,c2\n"
		   "rbind /dev from /dev\n"
		   "net_device e0 as in0\n"
		   "net_device e1\n"
		   "domainname d\n"
		   "user 0:0 groups 0\n"
		   "chdir /\n"
		   "exec sh\n");
}

TEST(refusals)
{
	static const struct {
		const char *rest, *want;
	} cases[] = {
		{ PROCESS ",\"linux\":{\"maskedPaths\":[\"/x\"]}}",
		  "unable to restrict sys entries without a private MNT namespace" },
		{ PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}",
		  "unable to use a user namespace without a private MNT namespace" },
		{ PROCESS ",\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":1}}," NAMESPACES
			  "}}",
		  "time namespace offsets specified, but time namespace isn't enabled in the "
		  "config" },
		{ PROCESS ",\"linux\":{\"timeOffsets\":{\"boottime\":{\"nanosecs\":1000000000}},"
			  "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"}]}}",
		  "linux.timeOffsets.boottime.nanosecs is a second or more" },
		{ PROCESS ",\"hostname\":\"h\",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
		  "unable to set hostname without a private UTS namespace" },
		{ PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]}}",
		  "User namespaces enabled, but no uid mappings found." },
		{ PROCESS ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"tmpfs\"}],"
			  "\"linux\":{" NAMESPACES "}}",
		  "\"/proc\" cannot be mounted because it is not of type proc" },
		{ PROCESS ",\"mounts\":[{\"destination\":\"/proc/sys/../self\",\"type\":\"bind\","
			  "\"source\":\"/x\"}],\"linux\":{" NAMESPACES "}}",
		  "\"/proc/self\" cannot be mounted because it is inside /proc" },
		{ PROCESS ",\"mounts\":[{\"destination\":\"/\",\"type\":\"tmpfs\"}],"
			  "\"linux\":{" NAMESPACES "}}",
		  "mount destination / would hide the root file system" },
		{ PROCESS ",\"linux\":{\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}," NAMESPACES "}}",
		  "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace" },
		{ PROCESS
		  ",\"linux\":{\"sysctl\":{\"user/../kernel/core_pattern\":\"1\"}," NAMESPACES "}}",
		  "sysctl \"user/../kernel/core_pattern\" is not a key" },
		{ PROCESS ",\"linux\":{\"netDevices\":{\"e\":{}}," NAMESPACES "}}",
		  "unable to move network devices without a NET namespace" },
		{ PROCESS ",\"linux\":{\"netDevices\":{\"a/b\":{}},"
			  "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}]}}",
		  "invalid network device name \"a/b\"" },
		{ PROCESS ",\"linux\":{\"intelRdt\":{\"closID\":\"..\"}," NAMESPACES "}}",
		  "invalid intelRdt.ClosID \"..\"" },
		{ PROCESS ",\"linux\":{\"rootfsPropagation\":\"odd\"," NAMESPACES "}}",
		  "rootfsPropagation=odd is not supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		AUTO_FREE char *text = xasprintf("%s%s", HEAD, cases[i].rest);
		struct err e = { 0 };
		struct plan p;

		CHECK(make(a, text, &p, &e) < 0);
		CHECK_STR(e.msg, cases[i].want);
	}
}

TEST(clean_path)
{
	static const char *const cases[][2] = {
		{ "/", "/" },          { "", "/" },          { "/a/", "/a" },
		{ "//a///b", "/a/b" }, { "/a/./b", "/a/b" }, { "/a/../../b", "/b" },
		{ "/a/b/..", "/a" },   { "../..", "/" },     { "a/..b", "/a/..b" },
	};
	AUTO_ARENA struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_STR(plan_clean_path(a, cases[i][0]), cases[i][1]);
}

TEST(capability_names)
{
	CHECK(caps_number("CAP_CHOWN") == 0);
	CHECK(caps_number("cap_checkpoint_restore") == 40);
	CHECK(caps_number("CHOWN") == -1);
	CHECK(caps_name(41) == NULL);
}

TEST(passwd_goes_by_number)
{
	static const char text[] = "1000:x:0:0::/false:\nroot:x:0:0::/root:/bin/"
				   "sh\n:::::\nu:x:1000:5::/home/u:\nw:x:07:0::/w";
	AUTO_FREE char *home = passwd_find(text, 1000, 5), *name = passwd_find(text, 0, 0);

	CHECK_STR(home, "/home/u");
	CHECK_STR(name, "1000");
	CHECK(passwd_find(text, 8, 5) == NULL);
}
