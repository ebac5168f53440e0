#include "base/test.h"
#include "base/toml.h"
#include "cmd/containerd/config_file.h"
#include "cmd/containerd/config_load.h"
#include "os/file.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

/* Loads text as a config file. */
static int load(const char *text, const struct config_flags *more, struct config *ret,
		struct err *e)
{
	char path[] = "/tmp/config-test-XXXXXX";
	struct config_flags flags = more ? *more : (struct config_flags){ 0 };
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	flags.file = path;
	int r = config_load(&flags, ret, e);

	unlink(path);
	return r;
}

TEST(what_the_originals_own_file_says_is_no_news)
{
	static const struct {
		const char *path, *value;
		bool is_default;
	} rows[] = {
		{ "plugins/io.containerd.metadata.v1.bolt/no_sync", "false", true },
		{ "plugins/io.containerd.metadata.v1.bolt/no_sync", "true", false },
		{ "plugins/io.containerd.transfer.v1.local/max_concurrent_uploaded_layers", "3",
		  true },
		{ "plugins/io.containerd.transfer.v1.local/max_concurrent_uploaded_layers", "4",
		  false },
		/* has an effect, whatever it says */
		{ "plugins/io.containerd.image-verifier.v1.bindir/max_verifiers", "10", false },
		{ "plugins/io.containerd.differ.v1.erofs/mkfs_options", "[]", true },
		{ "plugins/io.containerd.differ.v1.erofs/mkfs_options", "[\"-z\"]", false },
		{ "plugins/io.containerd.nothing/key", "false", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON json_object *v = json_tokener_parse(rows[i].value);

		if (config_is_unused_default(rows[i].path, v) != rows[i].is_default)
			FAIL_("%s = %s", rows[i].path, rows[i].value);
	}
}

/* What `config dump` prints is read as the same again. */
TEST(a_dump_is_complete)
{
	static const char text[] =
		"version = 3\n[proxy_plugins.far]\ntype = 'diff'\naddress = '/far.sock'\n"
		"[proxy_plugins.vms]\ntype = 'sandbox'\naddress = 'unix:///vms.sock'\n"
		"[plugins.'io.containerd.service.v1.diff-service']\ndefault = ['far', 'walking']\n"
		"[plugins.'io.containerd.service.v1.tasks-service']\nblockio_config_file = "
		"'/io.yaml'\n"
		"[plugins.'io.containerd.snapshotter.v1.blockfile']\nscratch_file = "
		"'/empty'\nfs_type = 'xfs'\n"
		"mount_options = ['loop', 'sync']\nrecreate_scratch = true\n";
	struct config c, again;
	struct err e = { 0 };
	AUTO_STR struct str first = STR_INIT(1 << 20), second = STR_INIT(1 << 20);

	CHECK_OK(load(text, NULL, &c, &e), &e);
	CHECK_STR(config_proxy(&c, CONFIG_PROXY_DIFF, "far"), "/far.sock");
	CHECK_STR(config_proxy(&c, CONFIG_PROXY_SANDBOX, "vms"), "/vms.sock");
	CHECK(!config_proxy(&c, CONFIG_PROXY_SANDBOX, "far"));
	config_print(&c, &first);
	CHECK_OK(load(str_c(&first), NULL, &again, &e), &e);
	CHECK_STR(config_proxy(&again, CONFIG_PROXY_SANDBOX, "vms"), "/vms.sock");
	CHECK(again.n_differs == 2 && again.n_services == 2);
	CHECK_STR(again.blockio_file, "/io.yaml");
	const struct snapshot_options *o = &again.snapshotters[CONFIG_BLOCKFILE];
	CHECK_STR(o->scratch_file, "/empty");
	CHECK_STR(o->fs_type, "xfs");
	CHECK(o->n_mount_options == 2 && o->recreate_scratch);
	config_print(&again, &second);
	CHECK_STR(str_c(&second), str_c(&first));
	arena_free(c.arena);
	arena_free(again.arena);
}

/* The names of both versions of the format reach the same members. */
TEST(both_versions_of_the_format_are_read)
{
	static const char *const texts[] = {
		"version = 2\nroot = '/r'\nstate = '/s'\n[grpc]\naddress = 'unix:///g.sock'\ngid = "
		"7\n"
		"[debug]\nlevel = 'debug'\nformat = 'json'\n"
		"[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/certs'\n"
		"[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'native'\n"
		"[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.crun]\n"
		"runtime_type = 'io.containerd.runc.v2'\n"
		"options = { BinaryName = '/usr/bin/crun', SystemdCgroup = true }\n"
		"[plugins.'io.containerd.snapshotter.v1.overlayfs']\nroot_path = '/o'\n",

		"version = 3\nroot = '/r'\nstate = '/s'\n"
		"[plugins.'io.containerd.server.v1.grpc']\naddress = '/g.sock'\ngid = 7\n"
		"[debug]\nlevel = 'debug'\nformat = 'json'\n"
		"[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n"
		"[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/certs'\n"
		"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]\n"
		"runtime_type = 'io.containerd.runc.v2'\n"
		"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]\n"
		"BinaryName = '/usr/bin/crun'\nSystemdCgroup = true\n"
		"[plugins.'io.containerd.snapshotter.v1.overlayfs']\nroot_path = '/o'\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config c;
		struct err e = { 0 };

		if (load(texts[i], NULL, &c, &e) < 0)
			FAIL_("%s", e.msg);
		CHECK_STR(c.root, "/r");
		CHECK_STR(c.state, "/s");
		CHECK_STR(c.grpc.address, "/g.sock");
		CHECK_STR(c.ttrpc.address, "/g.sock.ttrpc");
		CHECK(c.grpc.gid == 7);
		CHECK(c.level == LOG_DEBUG && c.format == LOG_JSON);
		CHECK_STR(c.registry_config, "/certs");
		CHECK_STR(c.snapshotter, "native");
		CHECK(c.n_runtimes == 1);
		CHECK_STR(c.runtimes[0].binary_name, "/usr/bin/crun");
		CHECK(c.runtimes[0].systemd_cgroup);
		CHECK_STR(c.snapshotters[CONFIG_OVERLAYFS].root_path, "/o");
		CHECK(!c.snapshotters[CONFIG_NATIVE].root_path);
		arena_free(c.arena);
	}
}

TEST(snapshotters_have_options)
{
	struct config c;
	struct err e = { 0 };
	AUTO_STR struct str printed = STR_INIT(1 << 16);

	CHECK(load("version = 3\ndisabled_plugins = ['io.containerd.snapshotter.v1.btrfs']\n"
		   "[proxy_plugins.stargz]\ntype = 'snapshot'\naddress = 'unix:///run/s.sock'\n"
		   "capabilities = ['rebase']\n"
		   "[plugins.'io.containerd.snapshotter.v1.overlayfs']\n"
		   "upperdir_label = true\nsync_remove = true\nslow_chown = true\n"
		   "mount_options = ['volatile', 'index=on']\n"
		   "[plugins.'io.containerd.snapshotter.v1.btrfs']\nroot_path = '/b'\n",
		   NULL, &c, &e) == 0);
	const struct snapshot_options *o = &c.snapshotters[CONFIG_OVERLAYFS];
	CHECK(o->upperdir_label && o->sync_remove && o->slow_chown && o->n_mount_options == 2);
	CHECK_STR(o->mount_options[1], "index=on");
	CHECK_STR(c.snapshotters[CONFIG_BTRFS].root_path, "/b");
	CHECK(c.n_proxies == 1 && !c.snapshotters[CONFIG_NATIVE].is_disabled);
	CHECK(c.snapshotters[CONFIG_BTRFS].is_disabled);
	CHECK_STR(c.proxies[0].name, "stargz");
	CHECK_STR(c.proxies[0].address, "/run/s.sock");
	CHECK_STR(c.proxies[0].capabilities[0], "rebase");
	config_print(&c, &printed);
	CHECK(strstr(str_c(&printed), "mount_options = [\"volatile\", \"index=on\"]"));
	arena_free(c.arena);
}

TEST(flags_win_over_the_file)
{
	struct config_flags flags = { .root = "/f", .address = "/f.sock", .level = "warn" };
	struct config c;
	struct err e = { 0 };

	CHECK(load("version = 3\nroot = '/r'\n[ttrpc]\naddress = '/t'\n", &flags, &c, &e) == 0);
	CHECK_STR(c.root, "/f");
	CHECK_STR(c.grpc.address, "/f.sock");
	CHECK_STR(c.ttrpc.address, "/f.sock.ttrpc");
	CHECK(c.level == LOG_WARNING);
	arena_free(c.arena);
}

TEST(mistakes_name_their_line)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "version = 3\nroot = 7\n", "line 2: root must be a string" },
		{ "version = 4\n",
		  "expected containerd config version equal to or less than `3`, got `4`" },
		{ "version = 3\n[grpc]\n  uid = -1\n",
		  "line 3: grpc/uid must be a user or group id" },
		{ "version = 3\n[debug]\nlevel = 'loud'\n",
		  "line 3: debug/level must be a log level such as \"info\"" },
		{ "version = 3\ndisabled_plugins = [1]\n",
		  "line 2: disabled_plugins must be a list of strings" },
		{ "version = 3\nroot = '/x'\nstate = '/x'\n",
		  "root and state must be different paths" },
		{ "version = \n", "line 1: " },
		{ "version = 3\n[metrics]\n\ngrpc_histogram = 1\n",
		  "line 4: metrics/grpc_histogram must be true or false" },
		{ "version = 3\noom_score = 1001\n",
		  "line 2: oom_score must be a number from -1000 to 1000" },
		{ "version = 3\n[grpc]\nmax_recv_message_size = -1\n",
		  "line 3: grpc/max_recv_message_size must be a number of bytes up to 67108864" },
		{ "version = 3\n[timeouts]\n'io.containerd.timeout.shim.load' = '5'\n",
		  "line 3: timeouts/io.containerd.timeout.shim.load must be a duration" },
		{ "version = 3\n[plugins.'io.containerd.gc.v1.scheduler']\nschedule_delay = 5\n",
		  "scheduler/schedule_delay must be a duration such as \"1m30s\"" },
		{ "version = 3\n[plugins.'io.containerd.gc.v1.scheduler']\ndeletion_threshold = "
		  "-1\n",
		  "line 3: plugins/io.containerd.gc.v1.scheduler/deletion_threshold must be a "
		  "number that is not negative" },
		{ "version = 3\n[plugins.'io.containerd.internal.v1.restart']\ninterval = '0s'\n",
		  "interval must not be 0" },
		{ "version = 3\n[plugins.'io.containerd.metadata.v1.bolt']\n"
		  "content_sharing_policy = 'some'\n",
		  "content_sharing_policy is \"shared\" or \"isolated\", not \"some\"" },
		{ "imports = ['nowhere.toml']\n", "nowhere.toml: no such file or directory" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config c;
		struct err e = { 0 };

		CHECK(load(cases[i].text, NULL, &c, &e) == -1);
		if (!strstr(e.msg, cases[i].error))
			FAIL_("\"%s\" lacks \"%s\"", e.msg, cases[i].error);
		arena_free(c.arena);
	}
}

TEST(the_collector_and_the_shims_have_settings)
{
	struct config c;
	struct err e = { 0 };

	if (load("version = 3\n[cgroup]\npath = '/casco'\n"
		 "[timeouts]\n'io.containerd.timeout.shim.load' = '1m30s'\n"
		 "'io.containerd.timeout.task.state' = '250ms'\n"
		 "[plugins.'io.containerd.gc.v1.scheduler']\npause_threshold = 0.7\n"
		 "deletion_threshold = 5\nmutation_threshold = 0\nschedule_delay = '0s'\n",
		 NULL, &c, &e) < 0)
		FAIL_("%s", e.msg);
	CHECK_STR(c.cgroup, "/casco");
	CHECK(c.timeouts.load == 90000000000 && c.timeouts.state == 250000000);
	CHECK(c.timeouts.shutdown == 3000000000);
	CHECK(c.gc.pause_threshold == 0.5 && c.gc.deletion_threshold == 5);
	CHECK(c.gc.mutation_threshold == 0 && c.gc.schedule_delay == 0);
	CHECK(c.gc.startup_delay == 100000000);
	arena_free(c.arena);
}

/* What is printed is read as the same. */
TEST(a_dump_is_a_config)
{
	struct config_flags none = { .file = "/dev/null" };
	AUTO_STR struct str first = STR_INIT(1 << 16), second = STR_INIT(1 << 16);
	struct config c, again;
	struct err e = { 0 };

	CHECK(config_load(&none, &c, &e) == 0);
	config_print(&c, &first);
	if (load(str_c(&first), NULL, &again, &e) < 0)
		FAIL_("%s", e.msg);
	config_print(&again, &second);
	CHECK_STR(str_c(&first), str_c(&second));
	arena_free(c.arena);
	arena_free(again.arena);
}

/* As in known[]: "/" between the parts. */
static bool has_path(json_object *o, const char *path)
{
	while (o && *path) {
		size_t n = strcspn(path, "/");
		AUTO_FREE char *part = xasprintf("%.*s", (int)n, path);

		if (!json_object_is_type(o, json_type_object) ||
		    !json_object_object_get_ex(o, part, &o))
			return false;
		path += n + (path[n] == '/');
	}
	return true;
}

/* Under one of its names each thing that can be set is in the default file, so that who starts from
 * it sees it. */
TEST(a_dump_has_every_key)
{
	struct config_flags none = { .file = "/dev/null" };
	AUTO_STR struct str text = STR_INIT(1 << 16);
	AUTO_JSON json_object *top = NULL;
	struct config_key k, other;
	struct config c;
	struct err e = { 0 };

	CHECK(config_load(&none, &c, &e) == 0);
	config_print(&c, &text);
	CHECK_OK(toml_parse(str_c(&text), text.len, &top, &e), &e);
	for (size_t i = 0; config_key(i, &k); i++) {
		bool is_there = !k.has_effect;

		for (size_t n = 0; !is_there && config_key(n, &other); n++)
			is_there = other.offset == k.offset && other.has_effect &&
				   has_path(top, other.path);
		/* what it says comes out as bin_dirs */
		if (!is_there && k.offset != offsetof(struct config, cni_bin_dir))
			FAIL_("a dump lacks %s", k.path);
	}
	arena_free(c.arena);
}

TEST(kubernetes_keys_come_back)
{
	static const char text[] =
		"version = 3\n[plugins.'io.containerd.cri.v1.runtime']\n"
		"enable_unprivileged_ports = false\nenable_selinux = true\ndisable_apparmor = "
		"true\nunset_seccomp_profile = 'x'\ndrain_exec_sync_io_timeout = '7s'\n"
		"max_container_log_line_size = -1\n"
		"restrict_oom_score_adj = true\ndevice_ownership_from_security_context = true\n"
		"[plugins.'io.containerd.cri.v1.runtime'.containerd]\n"
		"default_runtime_name = 'crun'\n"
		"[plugins.'io.containerd.grpc.v1.cri']\ndisable_tcp_service = false\n"
		"[plugins.'io.containerd.nri.v1.nri'.default_validator]\nenable = true\n"
		"reject_namespace_adjustment = true\nrequired_plugins = ['a', 'b']\n";
	AUTO_STR struct str printed = STR_INIT(1 << 16);
	struct config c, again;
	struct err e = { 0 };

	CHECK_OK(load(text, NULL, &c, &e), &e);
	config_print(&c, &printed);
	CHECK_OK(load(str_c(&printed), NULL, &again, &e), &e);
	const struct config_cri *k = &again.cri;
	CHECK(!k->unprivileged_ports && k->unprivileged_icmp && k->enable_selinux);
	CHECK(k->disable_apparmor && k->restrict_oom_score_adj);
	CHECK(k->device_ownership && k->drain_exec_io == 7000000000u);
	CHECK(k->log_line_max == UINT32_MAX);
	CHECK_STR(k->unset_seccomp, "x");
	CHECK_STR(k->default_runtime, "crun");
	CHECK(!again.tcp.disable_cri);
	CHECK(again.nri.rules.enable && again.nri.rules.reject_namespaces);
	CHECK(again.nri.rules.n_required == 2);
	arena_free(c.arena);
	arena_free(again.arena);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);

	CHECK(file_replace(AT_FDCWD, path, text, strlen(text), 0600, false) == 0);
}

/* Drop-ins are read by name, and the last word counts; relative ones are beside the file. */
TEST(imports_win_in_their_order)
{
	char folder[] = "/tmp/config-test-XXXXXX";
	struct config c;
	struct err e = { 0 };

	CHECK(mkdtemp(folder));
	AUTO_FREE char *main_file = xasprintf("%s/config.toml", folder);
	AUTO_FREE char *drop_ins = xasprintf("%s/d", folder);
	CHECK(mkdir(drop_ins, 0700) == 0);
	write_file(folder, "config.toml",
		   "version = 3\nroot = '/main'\nimports = ['d/*.toml', 'none/*.toml']\n"
		   "[metrics]\naddress = '127.0.0.1:1338'\n[debug]\naddress = '/d.sock'\n");
	write_file(drop_ins, "20.toml", "version = 3\nroot = '/late'\n");
	write_file(drop_ins, "10.toml",
		   "version = 3\nroot = '/early'\noom_score = -999\n[metrics]\n"
		   "grpc_histogram = true\n[grpc]\nmax_send_message_size = 1000\n");
	if (config_load(&(struct config_flags){ .file = main_file }, &c, &e) < 0)
		FAIL_("%s", e.msg);
	CHECK_STR(c.root, "/late");
	CHECK_STR(c.metrics_address, "127.0.0.1:1338");
	CHECK_STR(c.debug.address, "/d.sock");
	CHECK(c.metrics_histogram && c.oom_score == -999);
	CHECK(c.max_send == 1000 && c.max_recv == 16 * 1024 * 1024);
	arena_free(c.arena);
	CHECK(file_remove_tree(AT_FDCWD, folder) == 0);
}

/* Version 1 and 2 say the same in version 3, and unknown keys come along. */
TEST(old_versions_migrate)
{
	static const char *const texts[] = {
		"root = '/r'\n[plugins.cri]\nsandbox_image = 'p:1'\nenable_selinux = true\n"
		"[plugins.cri.containerd]\nsnapshotter = 'native'\n"
		"[plugins.cri.containerd.runtimes.crun]\nruntime_type = 'x'\n"
		"[plugins.other]\nlist = [1, 'two', { a = true }]\n",
		"version = 2\nroot = '/r'\n[plugins.'io.containerd.grpc.v1.cri']\n"
		"sandbox_image = 'p:1'\nenable_selinux = true\n"
		"[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'native'\n"
		"[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.crun]\n"
		"runtime_type = 'x'\n[plugins.other]\nlist = [1, 'two', { a = true }]\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		static const char *const lines[] = {
			"version = 3\nroot = \"/r\"\n",
			"[plugins.\"io.containerd.cri.v1.images\"]\nsnapshotter = \"native\"\n",
			".pinned_images]\nsandbox = \"p:1\"\n",
			"[plugins.\"io.containerd.cri.v1.runtime\"]\nenable_selinux = true\n",
			".containerd.runtimes.crun]\nruntime_type = \"x\"\n",
			"list = [1, \"two\", { a = true }]\n",
		};
		char path[] = "/tmp/config-test-XXXXXX";
		AUTO_STR struct str out = STR_INIT(1 << 16);
		struct config c;
		struct err e = { 0 };
		int fd = mkstemp(path);

		CHECK(write(fd, texts[i], strlen(texts[i])) == (ssize_t)strlen(texts[i]));
		close(fd);
		if (config_migrate(path, &out, &e) < 0)
			FAIL_("%s", e.msg);
		unlink(path);
		for (size_t k = 0; k < ARRAY_LEN(lines); k++)
			if (!strstr(str_c(&out), lines[k]))
				FAIL_("no \"%s\" in:\n%s", lines[k], str_c(&out));
		CHECK(load(str_c(&out), NULL, &c, &e) == 0);
		CHECK_STR(c.snapshotter, "native");
		CHECK(c.n_runtimes == 1);
		arena_free(c.arena);
		CHECK(load(texts[i], NULL, &c, &e) == 0);
		CHECK_STR(c.snapshotter, "native");
		arena_free(c.arena);
	}
}
