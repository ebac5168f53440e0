#include "oci/generate.h"

#include "base/jsonr.h"
#include "base/test.h"

static const char *const shell[] = { "/bin/sh", NULL };
static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "# a comment\nbroken\nbig:x:4294967296:5::/:\n"
			     "neg:x:-1:5::/:\njoe:x:1000:1001:Joe:/home/joe:/bin/sh";
static const char group[] = "root:x:0:\njoe:x:1001:\nwheel:x:10:joe,root\nwide:x:9999999999:joe\n";

/* Golden: as containerd 2.1's client makes it for `ctr run IMAGE c1 echo hello`, but for shares. */
static const char golden[] =
	"{\"ociVersion\":\"1.2.1\",\"process\":{\"user\":{\"uid\":0,\"gid\":0,\"additionalGids\":["
	"0]}"
	",\"args\":[\"echo\",\"hello\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\",\"capabilities\":{"
#define CAPS                                                                           \
	"[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FSETID\",\"CAP_FOWNER\","           \
	"\"CAP_MKNOD\",\"CAP_NET_RAW\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETFCAP\"," \
	"\"CAP_SETPCAP\",\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_CHROOT\",\"CAP_KILL\","    \
	"\"CAP_AUDIT_WRITE\"]"
	"\"bounding\":" CAPS ",\"effective\":" CAPS ",\"permitted\":" CAPS "},"
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],"
	"\"noNewPrivileges\":true},\"root\":{\"path\":\"rootfs\"},\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\","
	"\"noexec\",\"nodev\"]},{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	"\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":["
	"\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
	"{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":["
	"\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":["
	"\"nosuid\",\"noexec\",\"nodev\"]},{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":"
	"\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},{\"destination\":\"/run\","
	"\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\","
	"\"mode=755\",\"size=65536k\"]}],\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,"
	"\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":"
	"\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":8,\"access\":\"rwm\"},"
	"{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":7,\"access\":\"rwm\"},{\"allow\":"
	"true,"
	"\"type\":\"c\",\"major\":5,\"minor\":0,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\","
	"\"major\":1,\"minor\":5,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,"
	"\"minor\":9,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":5,\"minor\":1,"
	"\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":136,\"access\":\"rwm\"},"
	"{\"allow\":true,\"type\":\"c\",\"major\":5,\"minor\":2,\"access\":\"rwm\"}],\"cpu\":{"
	"\"shares\":1024}},\"cgroupsPath\":\"/default/c1\",\"namespaces\":[{\"type\":\"pid\"},"
	"{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"network\"}],"
	"\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\","
	"\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\","
	"\"/sys/firmware\",\"/sys/devices/virtual/powercap\",\"/proc/scsi\"],\"readonlyPaths\":["
	"\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

TEST(default_spec_is_the_originals)
{
	static const char *const args[] = { "echo", "hello", NULL };
	static const char *const env[] = { "PATH=/bin", NULL };
	uint32_t gids[] = { 0 };
	struct generate g = { .args = args,
			      .image_env = env,
			      .cgroups_path = "/default/c1",
			      .user = { .additional_gids = gids, .n_additional_gids = 1 },
			      .cpu_shares = { 1024, true } };
	char *text AUTO_FREE = NULL;
	struct err e = { 0 };

	CHECK_OK(generate_spec(&g, &text, &e), &e);
	CHECK_STR(text, golden);
}

static void check_has(const struct generate *g, const char *piece, bool want)
{
	char *text AUTO_FREE = NULL;
	struct arena *a AUTO_ARENA = arena_new();
	struct oci_spec *spec = NULL;
	struct err e = { 0 };

	CHECK_OK(generate_spec(g, &text, &e), &e);
	if (!!strstr(text, piece) != want)
		FAIL_("%s %s: %s", piece, want ? "is missing" : "should not be there", text);
	CHECK_OK(oci_spec_parse(a, text, strlen(text), &spec, &e), &e); /* and it is valid */
}

TEST(options_reach_the_spec)
{
	static const char *const add[] = { "sys_admin", NULL }, *const drop[] = { "CAP_CHOWN",
										  NULL };
	static const char *const bind_options[] = { "rbind", "ro", NULL };
	struct oci_mount mount = { .destination = "/host",
				   .type = "bind",
				   .source = "/tmp",
				   .options = { (const char **)bind_options, 2 } };
	struct gen_namespace joins[] = { { OCI_NS_NETWORK, NULL },
					 { OCI_NS_IPC, "/proc/1/ns/ipc" } };
	struct oci_pair annotation = { "c", "d" };
	struct gen_device fuse = { "/dev/fuse", 'c', 10, 229, 0666, 0, 0, NULL };
	struct generate g = { .args = shell,
			      .terminal = true,
			      .cwd = "/tmp",
			      .cap_add = add,
			      .cap_drop = drop,
			      .mounts = &mount,
			      .n_mounts = 1,
			      .namespaces = joins,
			      .n_namespaces = 2,
			      .annotations = { &annotation, 1 },
			      .hostname = "h",
			      .memory_limit = { 1000000, true },
			      .cpu_quota = { 50000, true },
			      .cpu_period = { 100000, true },
			      .pids_limit = { 9, true },
			      .devices = &fuse,
			      .n_devices = 1,
			      .root_readonly = true };

	check_has(&g, "\"terminal\":true", true);
	check_has(&g,
		  "\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\","
		  "\"TERM=xterm\"]",
		  true);
	check_has(&g, "\"cwd\":\"/tmp\"", true);
	check_has(&g, "CAP_SYS_ADMIN", true);
	check_has(&g, "CAP_CHOWN", false);
	check_has(&g,
		  "{\"destination\":\"/host\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":["
		  "\"rbind\",\"ro\"]}]",
		  true);
	check_has(
		&g,
		"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"},"
		"{\"type\":\"uts\"},{\"type\":\"mount\"}]",
		true);
	check_has(&g, "\"annotations\":{\"c\":\"d\"}", true);
	check_has(&g, "\"hostname\":\"h\"", true);
	check_has(&g,
		  "\"memory\":{\"limit\":1000000},\"cpu\":{\"quota\":50000,\"period\":100000},"
		  "\"pids\":{\"limit\":9}",
		  true);
	check_has(&g, "\"readonly\":true", true);
	check_has(&g,
		  "{\"path\":\"/dev/"
		  "fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,\"fileMode\":438,"
		  "\"uid\":0,\"gid\":0}",
		  true);
	check_has(&g,
		  "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":229,\"access\":\"rwm\"}]",
		  true);
}

TEST(privileged_masks_nothing)
{
	struct generate g = { .args = shell, .privileged = true, .all_devices = true };

	check_has(&g, "maskedPaths", false);
	check_has(&g, "readonlyPaths", false);
	check_has(&g, "CAP_SYS_MODULE", true);
	check_has(&g, "\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]", true);
	check_has(&g, "\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"rw\"]",
		  true);
}

TEST(mappings_make_a_user_namespace)
{
	struct oci_idmapping map = { 0, 100000, 65536 };
	struct generate g = { .args = shell,
			      .uid_mappings = { &map, 1 },
			      .gid_mappings = { &map, 1 } };

	check_has(&g, "\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]",
		  true);
	check_has(&g, "{\"type\":\"network\"},{\"type\":\"user\"}]", true);
}

TEST(bad_wishes_are_errors)
{
	static const char *const bad_cap[] = { "CAP_FLY", NULL }, *const none[] = { NULL };
	struct generate g = { .args = none };
	char *text = NULL;
	struct err e = { 0 };

	CHECK_FAIL(generate_spec(&g, &text, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "no command specified");
	err_clear(&e);
	g = (struct generate){ .args = shell, .cap_add = bad_cap };
	CHECK_FAIL(generate_spec(&g, &text, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "unknown capability \"CAP_FLY\"");
}

TEST(env_replaces_in_place_and_removes)
{
	static const char *const base[] = { "A=1", "B=2", "C=3", NULL };
	static const char *const change[] = { "B=x", "D=4", "A", "B=y", "E", NULL };
	struct strv got AUTO_STRV = { 0 };

	generate_env(base, change, &got);
	CHECK(got.n == 3);
	CHECK_STR(got.v[0], "B=y");
	CHECK_STR(got.v[1], "C=3");
	CHECK_STR(got.v[2], "D=4");
}

TEST(users)
{
	static const struct {
		const char *user, *gids; /* uid:gid:additional,… or the error */
	} cases[] = {
		{ "", "0:0:0,10" },
		{ "root", "0:0:0,10" },
		{ "joe", "1000:1001:1001,10" },
		{ "1000", "1000:1001:1001,10" },
		{ "5", "5:0:0" },
		{ "5:7", "5:7:7" },
		{ "joe:wheel", "1000:10:10" },
		{ "joe:5", "1000:5:5" },
		{ "2147483647", "2147483647:0:0" },
		{ "2147483648",
		  "uid \"2147483648\" is out of range: it must be between 0 and 2147483647" },
		{ "99999999999999999999", "uid \"99999999999999999999\" is out of range: it must "
					  "be between 0 and 2147483647" },
		{ "-1", "uid \"-1\" is out of range: it must be between 0 and 2147483647" },
		{ "0:-1", "gid \"-1\" is out of range: it must be between 0 and 2147483647" },
		{ "nobody", "no users found: \"nobody\" is not in the image's /etc/passwd" },
		{ "big", "no users found: \"big\" is not in the image's /etc/passwd" },
		{ "neg", "no users found: \"neg\" is not in the image's /etc/passwd" },
		{ "joe:nogroup", "no groups found: \"nogroup\" is not in the image's /etc/group" },
		{ "joe:wide", "no groups found: \"wide\" is not in the image's /etc/group" },
		{ ":", "invalid USER value :" },
		{ "a:b:c", "invalid USER value a:b:c" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a AUTO_ARENA = arena_new();
		struct str got AUTO_STR = STR_INIT(4096);
		struct oci_user u = { 0 };
		struct err e = { 0 };

		if (generate_user(a, cases[i].user, passwd, group, &u, &e) < 0) {
			CHECK_STR(e.msg, cases[i].gids);
			continue;
		}
		str_addf(&got, "%u:%u", u.uid, u.gid);
		for (size_t k = 0; k < u.n_additional_gids; k++)
			str_addf(&got, "%c%u", k ? ',' : ':', u.additional_gids[k]);
		CHECK_STR(str_c(&got), cases[i].gids);
	}
}
