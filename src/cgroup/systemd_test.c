#include "cgroup/systemd.h"

#include "base/test.h"
#include "cgroup/private.h"

static const struct {
	const char *path, *name, *slice, *dir, *error;
	bool is_user;
} units[] = {
	{ NULL, "runc-id.scope", "system.slice", "/system.slice/runc-id.scope", NULL, false },
	{ "", "runc-id.scope", "user.slice", "/user.slice/runc-id.scope", NULL, true },
	{ "machine.slice:libpod:abc", "libpod-abc.scope", "machine.slice",
	  "/machine.slice/libpod-abc.scope", NULL, false },
	{ ":cri:x", "cri-x.scope", "system.slice", "/system.slice/cri-x.scope", NULL, false },
	{ "-.slice:a:b", "a-b.scope", "-.slice", "/a-b.scope", NULL, false },
	{ "a-b-c.slice:p:n", "p-n.scope", "a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope",
	  NULL, false },
	{ "a.slice:ignored:a-b.slice", "a-b.slice", "a.slice", "/a.slice/a-b.slice", NULL, false },
	{ "/a/b", .error = "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
			   "cgroups, got \"/a/b\" instead" },
	{ "a:b:c:d", .error = "expected cgroupsPath to be of format \"slice:prefix:name\" for "
			      "systemd cgroups, got \"a:b:c:d\" instead" },
	{ "x:b:c", .error = "invalid slice name: x" },
	{ ".slice:b:c", .error = "invalid slice name: .slice" },
	{ "a--b.slice:b:c", .error = "invalid slice name: a--b.slice" },
	{ "-a.slice:b:c", .error = "invalid slice name: -a.slice" },
	{ "a-.slice:b:c", .error = "invalid slice name: a-.slice" },
	{ "../x.slice:b:c", .error = "invalid slice name: ../x.slice" },
	{ "a.slice:b:../../c", .error = "invalid unit name: b-../../c.scope" },
};

TEST(units)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct systemd_unit u = { 0 };
		struct err e = { 0 };
		int r = systemd_unit_parse(a, units[i].path, "id", units[i].is_user, &u, &e);

		if (units[i].error) {
			CHECK_FAIL(r, &e, ERR_INVALID_ARGUMENT);
			CHECK_STR(e.msg, units[i].error);
			continue;
		}
		CHECK_OK(r, &e);
		CHECK_STR(u.name, units[i].name);
		CHECK_STR(u.slice, units[i].slice);
		CHECK_STR(u.dir, units[i].dir);
	}
}

TEST(versions)
{
	CHECK(systemd_version("252.39-1~deb12u2") == 252);
	CHECK(systemd_version("v245.4-1.fc32") == 245);
	CHECK(systemd_version("\"v219\"") == 219);
	CHECK(systemd_version("") == -1 && systemd_version("devel") == -1);
	CHECK(systemd_version("99999999999") == -1);
}

static const char *text_of(struct arena *a, const struct systemd_properties *p)
{
	AUTO_STR struct str s = STR_INIT(65536);

	for (size_t i = 0; i < p->n; i++) {
		str_addf(&s, "%s=", p->v[i].name);
		dbus_print(&p->v[i].value, &s);
		str_addc(&s, '\n');
	}
	return arena_strdup(a, str_c(&s));
}

TEST(what_a_unit_starts_with)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_PROPERTIES struct systemd_properties scope = { 0 };
	AUTO_PROPERTIES struct systemd_properties slice = { 0 };
	struct systemd_unit u = { 0 };
	struct err e = { 0 };

	CHECK_OK(systemd_unit_parse(a, NULL, "box", false, &u, &e), &e);
	systemd_unit_properties(a, &u, true, 42, &scope);
	CHECK_STR(text_of(a, &scope),
		  "Description='libcontainer container box'\nSlice='system.slice'\nDelegate=true\n"
		  "PIDs=[uint32 42]\nMemoryAccounting=true\nCPUAccounting=true\nIOAccounting=true\n"
		  "TasksAccounting=true\nDefaultDependencies=false\n");
	CHECK_OK(systemd_unit_parse(a, "a.slice::a-b.slice", "box", false, &u, &e), &e);
	systemd_unit_properties(a, &u, false, 42, &slice);
	CHECK_STR(text_of(a, &slice),
		  "Description='libcontainer container a-b.slice'\nWants=['a.slice']\n"
		  "PIDs=[uint32 42]\nMemoryAccounting=true\nCPUAccounting=true\n"
		  "BlockIOAccounting=true\nTasksAccounting=true\nDefaultDependencies=false\n");
}

/* v1 and v2: the properties, or the error. quota: what the plan's quota file says then. */
static const struct {
	const char *json;
	int version;
	const char *v1, *v2, *v1_quota, *v2_quota;
} limits[] = {
	{ "{}", 252, "", "", NULL, NULL },
	{ "{\"memory\":{\"limit\":100,\"swap\":150,\"reservation\":50}}", 252,
	  "MemoryLimit=uint64 100\n",
	  "MemorySwapMax=uint64 50\nMemoryMax=uint64 100\nMemoryLow=uint64 50\n", NULL, NULL },
	{ "{\"memory\":{\"limit\":-1}}", 252, "MemoryLimit=uint64 18446744073709551615\n",
	  "MemorySwapMax=uint64 18446744073709551615\nMemoryMax=uint64 18446744073709551615\n",
	  NULL, NULL },
	{ "{\"pids\":{\"limit\":7}}", 252, "TasksMax=uint64 7\n", "TasksMax=uint64 7\n", NULL,
	  NULL },
	{ "{\"pids\":{\"limit\":-1}}", 252, "TasksMax=uint64 18446744073709551615\n",
	  "TasksMax=uint64 18446744073709551615\n", NULL, NULL },
	{ "{\"cpu\":{\"quota\":50000,\"period\":100000}}", 252,
	  "CPUQuotaPeriodUSec=uint64 100000\nCPUQuotaPerSecUSec=uint64 500000\n",
	  "CPUQuotaPeriodUSec=uint64 100000\nCPUQuotaPerSecUSec=uint64 500000\n", "50000",
	  "50000 100000" },
	/* a fraction of a percent goes up to the next, in the file too */
	{ "{\"cpu\":{\"quota\":5001,\"period\":50000}}", 252,
	  "CPUQuotaPeriodUSec=uint64 50000\nCPUQuotaPerSecUSec=uint64 110000\n",
	  "CPUQuotaPeriodUSec=uint64 50000\nCPUQuotaPerSecUSec=uint64 110000\n", "5500",
	  "5500 50000" },
	/* too old to know of periods */
	{ "{\"cpu\":{\"quota\":5000,\"period\":50000}}", 241, "CPUQuotaPerSecUSec=uint64 100000\n",
	  "CPUQuotaPerSecUSec=uint64 100000\n", "5000", "5000 50000" },
	{ "{\"cpu\":{\"quota\":-1}}", 252, "CPUQuotaPerSecUSec=uint64 18446744073709551615\n",
	  "CPUQuotaPeriodUSec=uint64 100000\nCPUQuotaPerSecUSec=uint64 18446744073709551615\n",
	  "-1", "max 100000" },
	{ "{\"cpu\":{\"shares\":2}}", 252, "CPUShares=uint64 2\n", "CPUWeight=uint64 1\n", NULL,
	  NULL },
	/* an idle group has no shares: the kernel would refuse them */
	{ "{\"cpu\":{\"shares\":2,\"idle\":1}}", 252, "", "CPUWeight=uint64 0\n", NULL, NULL },
	{ "{\"cpu\":{\"idle\":1}}", 251, "", "", NULL, NULL },
	{ "{\"unified\":{\"cpu.idle\":\"1\",\"cpu.weight\":\"8\"}}", 252, NULL,
	  "CPUWeight=uint64 0\n", NULL, NULL },
	/* two spellings of one member add up */
	{ "{\"cpu\":{\"shares\":2},\"CPU\":{\"Cpus\":\"0\"}}", 252,
	  "AllowedCPUs=[0x01]\nCPUShares=uint64 2\n", "AllowedCPUs=[0x01]\nCPUWeight=uint64 1\n",
	  NULL, NULL },
	{ "{\"cpu\":{\"cpus\":\"0-2,9\",\"mems\":\"0\"}}", 252,
	  "AllowedCPUs=[0x07, 0x02]\nAllowedMemoryNodes=[0x01]\n",
	  "AllowedCPUs=[0x07, 0x02]\nAllowedMemoryNodes=[0x01]\n", NULL, NULL },
	{ "{\"cpu\":{\"cpus\":\"0-2\"}}", 243, "", "", NULL, NULL },
	{ "{\"cpu\":{\"cpus\":\"2-1\"}}", 252,
	  "resources.CPU.Cpus=\"2-1\" conversion error: invalid range: 2-1",
	  "resources.CPU.Cpus=\"2-1\" conversion error: invalid range: 2-1", NULL, NULL },
	{ "{\"blockIO\":{\"weight\":1000,\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":10}]"
	  "}}",
	  252, "BlockIOWeight=uint64 1000\n", "IOWeight=uint64 10000\n", NULL, NULL },
	{ "{\"unified\":{\"memory.high\":\" 5\\n\",\"memory.min\":\"max\"}}", 252, NULL,
	  "MemoryHigh=uint64 5\nMemoryMin=uint64 18446744073709551615\n", NULL, NULL },
	{ "{\"unified\":{\"cpu.max\":\"max\"}}", 252, NULL,
	  "CPUQuotaPeriodUSec=uint64 100000\nCPUQuotaPerSecUSec=uint64 18446744073709551615\n",
	  NULL, "max" },
	{ "{\"unified\":{\"cpu.max\":\"much 5\"}}", 252, NULL,
	  "unified resource \"cpu.max\" value invalid: \"much 5\"", NULL, NULL },
	{ "{\"unified\":{\"memory.max\":\"5k\"}}", 252, NULL,
	  "unified resource \"memory.max\" value conversion error: invalid syntax: 5k", NULL,
	  NULL },
	{ "{\"unified\":{\"memory.oom.group\":\"1\",\"hugetlb.2MB.max\":\"0\"}}", 252, NULL, "",
	  NULL, NULL },
};

static void check_limits(size_t i, bool v2, const char *want, const char *quota)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_PROPERTIES struct systemd_properties p = { 0 };
	struct oci_resources *r = NULL;
	struct cgroup_plan plan = { 0 };
	struct err e = { 0 };

	if (!want)
		return;
	CHECK_OK(oci_resources_parse(a, limits[i].json, strlen(limits[i].json), &r, &e), &e);
	CHECK_OK(cgroup_plan_resources(a, r, v2 ? CG_V2_ALL : 0, &plan, &e), &e);
	if (systemd_resource_properties(a, &plan, v2, limits[i].version, &p, &e) < 0)
		CHECK_STR(e.msg, want);
	else
		CHECK_STR(text_of(a, &p), want);
	for (size_t k = 0; k < plan.n && quota; k++)
		if (strcmp(plan.v[k].file, v2 ? "cpu.max" : "cpu.cfs_quota_us") == 0)
			CHECK_STR(plan.v[k].value, quota);
}

TEST(limits)
{
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		check_limits(i, false, limits[i].v1, limits[i].v1_quota);
		check_limits(i, true, limits[i].v2, limits[i].v2_quota);
	}
}

TEST(oom_policy)
{
	static const struct {
		const char *value, *want;
	} all[] = { { "0", "OOMPolicy='continue'\n" }, { "1", "OOMPolicy='kill'\n" }, { "2", "" } };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		AUTO_PROPERTIES struct systemd_properties p = { 0 };
		struct cgroup_write w = { .file = "memory.oom.group", .value = all[i].value };
		struct cgroup_plan plan = { .v = &w, .n = 1, .cap = 1 };

		systemd_start_properties(&plan, &p);
		CHECK_STR(text_of(a, &p), all[i].want);
	}
}

static const char drivers[] = "Character devices:\n  1 mem\n 10 misc\n136 pts\n\n"
			      "Block devices:\n  8 sd\n259 blkext\n";

static const struct {
	struct oci_device_rule rules[4];
	size_t n;
	const char *want;
} devices[] = {
	{ { { 0 } },
	  0,
	  "DevicePolicy='strict'\nDeviceAllow=[('char-*', 'm'), ('block-*', 'm'), "
	  "('/dev/char/1:3', 'rwm'), ('/dev/char/1:8', 'rwm'), ('/dev/char/1:7', 'rwm'), "
	  "('/dev/char/5:0', 'rwm'), ('/dev/char/1:5', 'rwm'), ('/dev/char/1:9', 'rwm'), "
	  "('char-pts', 'rwm'), ('/dev/char/5:2', 'rwm')]\n" },
	{ { { true, 'a', { 0 }, { 0 }, "rwm" } },
	  1,
	  "DevicePolicy='auto'\nDeviceAllow=@a(ss) []\n" },
	/* all but one: not in systemd's words */
	{ { { true, 'a', { 0 }, { 0 }, "rwm" },
	    { false, 'b', { .has = true, .v = 8 }, { .has = true, .v = 0 }, "w" } },
	  2,
	  "DevicePolicy='strict'\nDeviceAllow=@a(ss) []\n" },
	/* a driver without a name, a minor of every driver: left to our own filter */
	{ { { true, 'b', { .has = true, .v = 8 }, { 0 }, "r" },
	    { true, 'b', { .has = true, .v = 77 }, { 0 }, "r" },
	    { true, 'c', { 0 }, { .has = true, .v = 5 }, "r" },
	    { true, 'b', { .has = true, .v = 259 }, { .has = true, .v = 1 }, "w" } },
	  4,
	  "DevicePolicy='strict'\nDeviceAllow=[('block-sd', 'r'), ('/dev/block/259:1', 'w'), "
	  "('char-*', 'm'), ('block-*', 'm'), ('/dev/char/1:3', 'rwm'), ('/dev/char/1:8', 'rwm'), "
	  "('/dev/char/1:7', 'rwm'), ('/dev/char/5:0', 'rwm'), ('/dev/char/1:5', 'rwm'), "
	  "('/dev/char/1:9', 'rwm'), ('char-pts', 'rwm'), ('/dev/char/5:2', 'rwm')]\n" },
};

TEST(device_rules)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		AUTO_PROPERTIES struct systemd_properties p = { 0 };
		struct device_set set;
		struct err e = { 0 };

		CHECK_OK(device_set_build(a, devices[i].rules, devices[i].n, &set, &e), &e);
		systemd_device_properties(a, &set, drivers, &p);
		CHECK_STR(text_of(a, &p), devices[i].want);
	}
}

static const struct {
	const char *text, *want; /* printed, or the error behind a '!' */
} values[] = {
	{ "true", "true" },
	{ " false ", "false" },
	{ "5", "5" },
	{ "-5", "-5" },
	{ "0x1f", "31" },
	{ "010", "8" },
	{ "1.5", "1.5" },
	{ "uint64 18446744073709551615", "uint64 18446744073709551615" },
	{ "uint64 18446744073709551616", "!18446744073709551616: value out of range" },
	{ "byte 255", "0xff" },
	{ "byte 256", "!256: value out of range" },
	{ "uint32 -1", "!-1: value out of range" },
	{ "int16 -32768", "int16 -32768" },
	{ "2147483648", "!2147483648: value out of range" },
	{ "@t 7", "uint64 7" },
	{ "'it''s", "!unexpected \"'\"" },
	{ "'a\\'b\\u00e9'", "'a'b\303\251'" },
	{ "\"x\\ty\"", "'x\ty'" },
	{ "'\\ud800'", "!invalid escape" },
	{ "'\\u0000'", "!invalid escape" },
	{ "'\\u12", "!short escape" },
	{ "'open", "!unexpected EOF" },
	{ "objectpath '/a'", "objectpath '/a'" },
	{ "b'ab\\x01\\002'", "[0x61, 0x62, 0x01, 0x02, 0x00]" },
	{ "['a', 'b']", "['a', 'b']" },
	{ "[uint64 1, 2]", "[uint64 1, uint64 2]" },
	{ "['a', 1]", "!can't parse \"1\" as type \"s\"" },
	{ "[]", "!can't infer the type of an empty array" },
	{ "@as []", "@as []" },
	{ "@a(ss) []", "@a(ss) []" },
	{ "@a{sv} {}", "@a{sv} {}" },
	{ "@a(s []", "!invalid type annotation" },
	{ "@ []", "!invalid type annotation" },
	{ "{'k': <true>, 'l': <'x'>}", "{'k': <true>, 'l': <'x'>}" },
	{ "{[1]: 2}", "!invalid type of a key" },
	{ "<uint32 5>", "<uint32 5>" },
	{ "<5", "!unexpected EOF" },
	{ "", "!unexpected EOF" },
	{ "[1", "!unexpected EOF" },
	{ "[1 2]", "!unexpected \"2\"" },
	{ "5 6", "!unexpected \"6\"" },
	{ "(1,2)", "!unexpected \"(\"" },
	{ "inactive-or-failed", "!unexpected \"i\"" },
	{ "boolean 5", "!can't parse \"5\" as type \"b\"" },
	{ "string true", "!a boolean where none can be" },
	{ "1e999", "!invalid number" },
	{ "1.2.3", "!invalid number" },
	{ "<<<<<<<<<<<<<<<<<<1>>>>>>>>>>>>>>>>>>", "!too many levels" },
};

TEST(values_of_annotations)
{
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		AUTO_STR struct str out = STR_INIT(4096);
		struct dbus_value v;
		struct err e = { 0 };

		if (systemd_parse_value(a, values[i].text, &v, &e) < 0)
			str_addf(&out, "!%s", e.msg);
		else
			dbus_print(&v, &out);
		CHECK_STR(str_c(&out), values[i].want);
	}
}

#define ANNOTATION(name) "org.systemd.property." name
static const struct {
	const char *key, *value, *want;
} annotations[] = {
	{ "io.kubernetes.x", "{", "" },
	{ ANNOTATION("CollectMode"), "'inactive-or-failed'", "CollectMode='inactive-or-failed'\n" },
	{ ANNOTATION("TimeoutStopSec"), "uint64 5", "TimeoutStopUSec=uint64 5000000\n" },
	{ ANNOTATION("TimeoutStopSec"), "1.5", "TimeoutStopUSec=uint64 1500000\n" },
	{ ANNOTATION("TimeoutStopSec"), "'5'",
	  "annotation org.systemd.property.TimeoutStopSec='5' value parse error: not a number" },
	{ ANNOTATION("TimeoutStopSec"), "-5",
	  "annotation org.systemd.property.TimeoutStopSec=-5 value parse error: value out of "
	  "range" },
	{ ANNOTATION("ISec"), "5", "ISec=5\n" }, /* no lower-case letter before Sec */
	{ ANNOTATION("Sec"), "5", "Sec=5\n" },
	{ ANNOTATION("ab"), "5", "annotation org.systemd.property.ab name incorrect: too short" },
	{ ANNOTATION("Some-Thing"), "5",
	  "annotation org.systemd.property.Some-Thing name incorrect: contains non-alphabetic "
	  "character" },
};

TEST(annotation_properties)
{
	for (size_t i = 0; i < ARRAY_LEN(annotations); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		AUTO_PROPERTIES struct systemd_properties p = { 0 };
		struct oci_pair one = { annotations[i].key, annotations[i].value };
		struct err e = { 0 };

		if (systemd_annotation_properties(a, &(struct oci_pairs){ &one, 1 }, &p, &e) < 0)
			CHECK_STR(e.msg, annotations[i].want);
		else
			CHECK_STR(text_of(a, &p), annotations[i].want);
	}
}
