#include "base/test.h"
#include "oci/spec.h"

/* The whole text of a document around one piece. */
#define DOC(process, rest) \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":" process rest "}"
#define SH "{\"args\":[\"sh\"],\"cwd\":\"/\"}"

static struct oci_spec *parse_ok(struct arena *a, const char *text)
{
	struct oci_spec *s = NULL;
	struct err e = { 0 };

	CHECK_OK(oci_spec_parse(a, text, strlen(text), &s, &e), &e);
	return s;
}

TEST(smallest_document)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_spec *s = parse_ok(a, DOC(SH, ""));

	CHECK_STR(s->version, "1.0.2");
	CHECK_STR(s->root_path, "rootfs");
	CHECK(!s->root_readonly && !s->hostname && !s->n_mounts && !s->linux.resources);
	CHECK(s->process->args.n == 1 && !s->process->args.v[1]);
	CHECK_STR(s->process->args.v[0], "sh");
	CHECK(!s->warnings.n);
}

TEST(brief_file_is_forgiven_with_two_warnings)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_spec *s = parse_ok(
		a, "{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":true,"
		   "\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/sh\"]},"
		   "\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":[{\"type\":\"pid\"},"
		   "{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
		   "{\"type\":\"mount\"}],\"cgroups\":{\"memory\":{\"limit\":536870912}}}}");

	CHECK(s->process->terminal);
	CHECK_STR(s->process->cwd, "/");
	CHECK(s->linux.n_namespaces == 5 && s->linux.namespaces[4].type == OCI_NS_MOUNT);
	CHECK(s->linux.resources->memory.limit.has);
	CHECK(s->linux.resources->memory.limit.v == 536870912);
	CHECK(s->warnings.n == 2);
	CHECK_STR(s->warnings.v[0], "field process.cwd is missing, taken as \"/\"");
	CHECK_STR(s->warnings.v[1],
		  "field linux.cgroups is taken as linux.resources: write linux.resources");
}

TEST(process_fields)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct oci_process *p =
		parse_ok(a, DOC("{\"args\":[\"a\",\"b\"],\"cwd\":\"/w\",\"env\":[\"X=1\"],"
				"\"consoleSize\":{\"height\":24,\"width\":80},"
				"\"user\":{\"uid\":4294967294,\"gid\":7,\"umask\":18,"
				"\"additionalGids\":[1,2]},\"oomScoreAdj\":-5,"
				"\"capabilities\":{\"bounding\":[\"CAP_KILL\"]},"
				"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,"
				"\"hard\":18446744073709551615}],\"noNewPrivileges\":true,"
				"\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":3,"
				"\"flags\":[\"F\"]},\"ioPriority\":null,"
				"\"execCPUAffinity\":{\"initial\":\"0-1\"}}",
				""))
			->process;

	CHECK(p->has_console_size && p->console_height == 24 && p->console_width == 80);
	CHECK(p->user.uid == 4294967294 && p->user.gid == 7);
	CHECK(p->user.has_umask && p->user.umask == 18);
	CHECK(p->user.n_additional_gids == 2 && p->user.additional_gids[1] == 2);
	CHECK(p->oom_score_adj.has && p->oom_score_adj.v == -5);
	CHECK(p->capabilities->bounding.n == 1 && !p->capabilities->ambient.n);
	CHECK(p->n_rlimits == 1 && p->rlimits[0].hard == UINT64_MAX);
	CHECK(p->no_new_privileges);
	CHECK_STR(p->scheduler->policy, "SCHED_DEADLINE");
	CHECK(p->scheduler->runtime == 3 && p->scheduler->flags.n == 1 && !p->io_priority);
	CHECK_STR(p->exec_cpu_affinity->initial, "0-1");
	CHECK(!p->exec_cpu_affinity->final);
}

TEST(linux_fields)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct oci_linux *l =
		&parse_ok(a, DOC(SH,
				 ",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,"
				 "\"size\":10}],\"sysctl\":{\"net.a\":\"1\"},"
				 "\"cgroupsPath\":\"/x\",\"namespaces\":[{\"type\":\"time\"},"
				 "{\"type\":\"network\",\"path\":\"/n\"}],"
				 "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,"
				 "\"minor\":3,\"fileMode\":438}],"
				 "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
				 "{\"allow\":true,\"type\":\"c\",\"major\":1,\"access\":\"mar\"}],"
				 "\"pids\":{\"limit\":5},\"unified\":{\"memory.high\":\"1\"},"
				 "\"network\":{},\"rdma\":{\"mlx\":{\"hcaHandles\":1}}},"
				 "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\","
				 "\"defaultErrnoRet\":38,\"architectures\":[\"SCMP_ARCH_X86\"],"
				 "\"syscalls\":[{\"names\":[\"read\",\"clone\"],"
				 "\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":5,"
				 "\"value\":18446744073709551615,\"valueTwo\":1,"
				 "\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]},"
				 "\"intelRdt\":{\"closID\":\"g\",\"schemata\":[\"L3:0=f\"]},"
				 "\"personality\":{\"domain\":\"LINUX32\"},"
				 "\"memoryPolicy\":{\"mode\":\"MPOL_BIND\",\"nodes\":\"0\"},"
				 "\"timeOffsets\":{\"boottime\":{\"secs\":-3,\"nanosecs\":4},"
				 "\"monotonic\":{\"secs\":5}},"
				 "\"netDevices\":{\"eth0\":{\"name\":\"in0\"},\"eth1\":{}}}"))
			 ->linux;

	CHECK(l->uid_mappings.n == 1 && l->uid_mappings.v[0].host_id == 1000);
	CHECK_STR(l->sysctl.v[0].value, "1");
	CHECK(!l->namespaces[0].path && l->namespaces[0].type == OCI_NS_TIME);
	CHECK_STR(l->namespaces[1].path, "/n");
	CHECK(l->devices[0].type == 'c' && l->devices[0].has_file_mode);
	CHECK(l->devices[0].file_mode == 0666);
	CHECK(l->resources->devices[0].type == 'a' && !l->resources->devices[0].major.has);
	CHECK(l->resources->devices[1].major.v == 1);
	CHECK_STR(l->resources->devices[1].access, "rm");
	CHECK(l->resources->pids_limit.has && l->resources->pids_limit.v == 5);
	CHECK(l->resources->n_rdma == 1 && l->resources->rdma[0].hca_handles.v == 1);
	CHECK_STR(l->resources->rdma[0].device, "mlx");
	CHECK_STR(l->intel_rdt->clos_id, "g");
	CHECK(l->intel_rdt->schemata.n == 1);
	CHECK_STR(l->personality->domain, "LINUX32");
	CHECK_STR(l->memory_policy->mode, "MPOL_BIND");
	CHECK(l->n_time_offsets == 2 && l->time_offsets[0].secs == -3);
	CHECK_STR(l->time_offsets[1].clock, "monotonic");
	CHECK(l->n_net_devices == 2 && !l->net_devices[1].new_name);
	CHECK_STR(l->net_devices[0].name, "eth0");
	CHECK_STR(l->net_devices[0].new_name, "in0");
	CHECK(l->seccomp->default_errno_ret.v == 38 && l->seccomp->syscalls[0].names.n == 2);
	CHECK(l->seccomp->syscalls[0].args[0].value == UINT64_MAX);
}

TEST(mounts_and_hooks)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct oci_spec *s =
		parse_ok(a, DOC(SH, ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\","
				    "\"source\":\"proc\",\"options\":[\"ro\"]}],"
				    "\"hooks\":{\"poststop\":[{\"path\":\"/h\",\"args\":[\"h\"],"
				    "\"timeout\":3}]},\"annotations\":{\"a\":\"b\"}"));

	CHECK_STR(s->mounts[0].options.v[0], "ro");
	CHECK(s->hooks.poststop.n == 1 && s->hooks.poststop.v[0].timeout == 3);
	CHECK(!s->hooks.prestart.n);
	CHECK_STR(s->annotations.v[0].key, "a");
}

static const struct {
	const char *text, *want;
} refusals[] = {
	{ "{\"ociVersion\":\"1.0.2\"", "unexpected end of JSON input" },
	{ "[]", "the document is an array, must be an object" },
	{ "{}", "ociVersion is missing" },
	{ "{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}",
	  "ociVersion is \"2.0.0\", only versions 1.x are supported" },
	{ "{\"ociVersion\":\"1.0.2\"}", "root must be specified" },
	{ "{\"ociVersion\":\"1.0.2\",\"root\":{}}", "root.path is missing" },
	{ "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\"}}", "root.path is empty" },
	{ DOC("{\"args\":[\"a\"],\"user\":{\"uid\":\"0\"}}", ""),
	  "process.user.uid is a string, must be an integer" },
	{ DOC("{\"args\":[\"a\"],\"user\":{\"uid\":-1}}", ""), "process.user.uid is negative" },
	{ DOC("{\"args\":[\"a\"],\"user\":{\"uid\":4294967295}}", ""),
	  "process.user.uid is 4294967295, must be at most 4294967294" },
	{ DOC("{\"args\":[\"a\"],\"user\":{\"uid\":1.0}}", ""),
	  "process.user.uid is a number with a fraction, must be an integer" },
	{ DOC("{\"args\":[\"a\"],\"user\":{\"additionalGids\":[1,\"2\"]}}", ""),
	  "process.user.additionalGids[1] is a string, must be an integer" },
	{ DOC("{\"args\":[]}", ""), "args must not be empty" },
	{ DOC("{\"args\":\"sh\"}", ""), "process.args is a string, must be an array" },
	{ DOC("{\"args\":[null]}", ""), "process.args[0] is null, must be a string" },
	{ DOC("{\"args\":[\"a\\u0000b\"]}", ""), "process.args[0] holds a NUL byte" },
	{ DOC("{\"args\":[\"a\"],\"cwd\":\"x\"}", ""), "Cwd must be an absolute path" },
	{ DOC("{\"args\":[\"a\"],\"oomScoreAdj\":1001}", ""),
	  "process.oomScoreAdj is 1001, must be -1000 to 1000" },
	{ DOC("{\"args\":[\"a\"],\"rlimits\":[{\"type\":\"A\",\"soft\":1,\"hard\":1},"
	      "{\"type\":\"A\",\"soft\":1,\"hard\":1}]}",
	      ""),
	  "process.rlimits has A twice" },
	{ DOC("{\"args\":[\"a\"],\"terminal\":1}", ""),
	  "process.terminal is an integer, must be a boolean" },
	{ DOC(SH, ",\"mounts\":[{\"type\":\"proc\"}]"), "mounts[0].destination is missing" },
	{ DOC(SH, ",\"annotations\":{\"a\\u0000\":\"b\"}"), "a string holds a NUL byte" },
	{ DOC(SH, ",\"annotations\":{\"a\":1}"), "annotations.a is an integer, must be a string" },
	{ DOC(SH, ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}"),
	  "hooks.prestart[0].path is \"x\", must be absolute" },
	{ DOC(SH, ",\"linux\":{\"namespaces\":[{\"type\":\"foo\"}]}"),
	  "namespace {\"foo\" \"\"} does not exist" },
	{ DOC(SH, ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}"),
	  "malformed spec file: duplicated ns {\"pid\" \"\"}" },
	{ DOC(SH, ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}"),
	  "linux.namespaces[0].path is \"x\", must be absolute" },
	{ DOC(SH, ",\"linux\":{\"uidMappings\":[{\"containerID\":1,\"hostID\":4294967294,"
		  "\"size\":2}]}"),
	  "linux.uidMappings[0] goes beyond the last id" },
	{ DOC(SH, ",\"linux\":{\"devices\":[{\"path\":\"/d\",\"type\":\"x\"}]}"),
	  "invalid device type \"x\"" },
	{ DOC(SH, ",\"linux\":{\"resources\":{\"devices\":[{\"allow\":true}]}}"),
	  "device access at 0 field cannot be empty" },
	{ DOC(SH, ",\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"xa\"}]}}"),
	  "linux.resources.devices[0].access is \"xa\", must be of \"rwm\"" },
	{ DOC(SH, ",\"linux\":{\"resources\":{\"unified\":{\"../x\":\"1\"}}}"),
	  "unified resource \"../x\" must be a file name (no slashes)" },
	{ DOC(SH, ",\"linux\":{\"resources\":{\"hugepageLimits\":[{\"pageSize\":\"../2MB\","
		  "\"limit\":1}]}}"),
	  "linux.resources.hugepageLimits[0].pageSize is \"../2MB\", must be as \"2MB\"" },
	{ DOC(SH, ",\"linux\":{\"timeOffsets\":{\"boottime\":{\"nanosecs\":-1}}}"),
	  "linux.timeOffsets.boottime.nanosecs is negative" },
	{ DOC(SH, ",\"linux\":{\"netDevices\":[]}"),
	  "linux.netDevices is an array, must be an object" },
	{ DOC(SH, ",\"linux\":{\"cgroups\":{\"memory\":{\"limit\":\"1\"}}}"),
	  "linux.cgroups.memory.limit is a string, must be an integer" },
	{ DOC(SH, ",\"linux\":{\"seccomp\":{\"defaultAction\":\"A\",\"syscalls\":[{\"names\":[],"
		  "\"action\":\"B\",\"args\":[{\"index\":6,\"value\":1,\"op\":\"C\"}]}]}}"),
	  "linux.seccomp.syscalls[0].args has the index 6, must be at most 5" },
};

TEST(refusals_name_the_field)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct oci_spec *s = NULL;
		struct err e = { 0 };
		const char *t = refusals[i].text;

		CHECK_FAIL(oci_spec_parse(a, t, strlen(t), &s, &e), &e, ERR_INVALID_ARGUMENT);
		CHECK_STR(e.msg, refusals[i].want);
	}
}

TEST(process_alone_and_resources_alone)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_resources *r = NULL;
	struct oci_process *p = NULL;
	struct err e = { 0 };

	CHECK_OK(oci_process_parse(a, SH, strlen(SH), &p, &e), &e);
	CHECK_STR(p->args.v[0], "sh");
	CHECK_FAIL(oci_process_parse(a, "{\"args\":1}", 10, &p, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "args is an integer, must be an array");

	static const char text[] = "{\"cpu\":{\"quota\":-1},\"pids\":{\"limit\":0}}";
	CHECK_OK(oci_resources_parse(a, text, strlen(text), &r, &e), &e);
	CHECK(r->cpu.quota.has && r->cpu.quota.v == -1);
	CHECK(r->pids_limit.has && r->pids_limit.v == 0 && !r->memory.limit.has);
}
