#include "base/test.h"
#include "cmd/ctr/doctor.h"
#include "os/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void put(const char *root, const char *path, const char *text)
{
	AUTO_FREE char *full = xasprintf("%s%s", root, path), *folder = xstrdup(full);

	*strrchr(folder, '/') = 0;
	CHECK(file_mkdirs(folder, 0700) == 0);
	CHECK(file_replace(AT_FDCWD, full, text, strlen(text), 0600, false) == 0);
}

static const struct check *find(const struct checks *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, name))
			return &c->v[i];
	FAIL_("no check %s", name);
}

TEST(a_bare_machine_is_told_what_it_lacks)
{
	static const char *const failures[] = { "kernel", "cgroups", "overlay" };
	static const char *const warnings[] = { "seccomp", "userns" };
	char root[] = "/tmp/doctor-test-XXXXXX";
	AUTO_ARENA struct arena *a = arena_new();
	struct checks c = { .arena = a, .root = root };

	CHECK(mkdtemp(root));
	checks_host(&c, "4.19.0");
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		CHECK(find(&c, failures[i])->finding == FINDING_FAIL);
	for (size_t i = 0; i < ARRAY_LEN(warnings); i++)
		CHECK(find(&c, warnings[i])->finding == FINDING_WARN);
	for (size_t i = 0; i < c.n; i++)
		CHECK(!c.v[i].finding || (c.v[i].hint && *c.v[i].hint));
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}

TEST(networks_want_plugins)
{
	char root[] = "/tmp/doctor-test-XXXXXX";
	AUTO_ARENA struct arena *a = arena_new();
	struct checks none = { .arena = a, .root = root }, without = none;

	CHECK(mkdtemp(root));
	checks_host(&none, "6.1.0");
	CHECK(find(&none, "cni")->finding == FINDING_OK); /* the built-in one */
	put(root, "/etc/cni/net.d/10-a.conflist", "{}");
	checks_host(&without, "6.1.0");
	CHECK(find(&without, "cni")->finding == FINDING_WARN);
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}

TEST(a_fit_machine_is_well)
{
	char root[] = "/tmp/doctor-test-XXXXXX";
	AUTO_ARENA struct arena *a = arena_new();
	struct checks c = { .arena = a, .root = root };

	CHECK(mkdtemp(root));
	put(root, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
	put(root, "/proc/filesystems", "nodev\tsysfs\nnodev\toverlay\n");
	put(root, "/proc/sys/kernel/seccomp/actions_avail", "kill\n");
	put(root, "/proc/sys/user/max_user_namespaces", "100\n");
	put(root, "/usr/lib/cni/loopback", "");
	put(root, "/etc/cni/net.d/10-a.conflist", "{}");
	checks_host(&c, "5.4.0-rc1");
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].finding)
			FAIL_("%s: %s", c.v[i].name, c.v[i].text);
	CHECK_STR(find(&c, "cgroups")->text, "version 2 with cpu, memory, pids");
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}

TEST(a_shim_without_its_bundle_is_found)
{
	char root[] = "/tmp/doctor-test-XXXXXX";
	AUTO_ARENA struct arena *a = arena_new();
	struct checks c = { .arena = a, .root = root };

	CHECK(mkdtemp(root));
	put(root, "/proc/7/comm", "containerd-shim\n");
	put(root, "/proc/8/comm", "containerd-shim\n");
	put(root, "/proc/9/comm", "sh\n");
	AUTO_FREE char *alive = xasprintf("%s/proc/7/cwd", root);
	AUTO_FREE char *dead = xasprintf("%s/proc/8/cwd", root);
	AUTO_FREE char *other = xasprintf("%s/proc/9/cwd", root);
	CHECK(symlink("/run/b/7", alive) == 0);
	CHECK(symlink("/run/b/8 (deleted)", dead) == 0);
	CHECK(symlink("/x (deleted)", other) == 0);
	checks_shims(&c);
	CHECK(c.n == 1 && c.v[0].finding == FINDING_WARN);
	CHECK_STR(c.v[0].text, "shims without a bundle: 8");
	CHECK(file_remove_tree(AT_FDCWD, root) == 0);
}
