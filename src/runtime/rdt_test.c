/* On a made-up tree: what is written where, and what is left.  Groups that rdt_apply makes have no
 * files here; the kernel would put them there. */
#include "runtime/rdt.h"

#include "base/test.h"
#include "os/fd.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE "/tmp/rdt-test-XXXXXX"

static void touch(int root, const char *path)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && close(fd) == 0);
}

static int make_tree(char top[sizeof TEMPLATE])
{
	static const char *const folders[] = { "info", "info/L3", "g", "g/mon_groups",
					       "g/mon_groups/c" };

	memcpy(top, TEMPLATE, sizeof TEMPLATE);
	CHECK(mkdtemp(top));
	int root = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		CHECK(mkdirat(root, folders[i], 0755) == 0);
	touch(root, "g/tasks");
	touch(root, "g/schemata");
	touch(root, "g/mon_groups/c/tasks");
	return root;
}

static void remove_tree(int root, const char *top)
{
	close(root);
	CHECK(file_remove_tree(AT_FDCWD, top) == 0);
}

static void check_text(int root, const char *path, const char *want)
{
	AUTO_FREE char *text = NULL;

	CHECK(file_read(root, path, 4096, &text, NULL) == 0);
	CHECK_STR(text, want);
}

TEST(a_named_group)
{
	static const char *schemata[] = { "MB:0=50", "L3:1=3" };
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_intel_rdt r = { .clos_id = "g",
				   .l3_cache_schema = "L3:0=f",
				   .schemata = { schemata, 2 },
				   .enable_monitoring = true };
	struct rdt_state s = { 0 };
	struct err e = { 0 };
	char top[sizeof TEMPLATE];
	int root = make_tree(top);

	CHECK_OK(rdt_apply(root, &r, "c", 42, a, &s, &e), &e);
	check_text(root, "g/schemata", "L3:0=f\nMB:0=50\nL3:1=3\n");
	check_text(root, "g/tasks", "42");
	check_text(root, "g/mon_groups/c/tasks", "42");
	CHECK(!s.is_ours);
	CHECK_STR(s.group, "g");
	CHECK_OK(rdt_attach(root, &s, 77, &e), &e); /* exec: this file keeps the last write only */
	check_text(root, "g/tasks", "77");

	/* the monitor is the container's, the group is not */
	CHECK(unlinkat(root, "g/mon_groups/c/tasks", 0) == 0);
	rdt_remove(root, &s);
	CHECK(faccessat(root, "g/mon_groups/c", F_OK, 0) < 0 && faccessat(root, "g", F_OK, 0) == 0);
	remove_tree(root, top);
}

TEST(what_is_missing)
{
	static const char status[] = "info/last_cmd_status";
	AUTO_ARENA struct arena *a = arena_new();
	struct rdt_state s = { 0 };
	char top[sizeof TEMPLATE];
	int root = make_tree(top);
	const struct {
		struct oci_intel_rdt r;
		const char *want;
	} cases[] = {
		{ { .mem_bw_schema = "MB:0=1" },
		  "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled" },
		{ { .clos_id = "x" },
		  "clos dir not accessible (must be pre-created when l3CacheSchema and memBwSchema "
		  "are empty): stat /sys/fs/resctrl/x: no such file or directory" },
		{ { .clos_id = "info/none/x", .l3_cache_schema = "L3:0=1" },
		  "unable to create group /sys/fs/resctrl/info/none/x: last command status: full: "
		  "no such file or directory" },
		/* made, and gone again when its files can't be written */
		{ { .l3_cache_schema = "L3:0=1" },
		  "open /sys/fs/resctrl/c/schemata: no such file or directory" },
		{ { .clos_id = "new", .l3_cache_schema = "L3:0=1" },
		  "open /sys/fs/resctrl/new/schemata: no such file or directory" },
	};

	int fd = openat(root, status, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && fd_write_all(fd, "full\n", 5) == 0 && close(fd) == 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };

		CHECK(rdt_apply(root, &cases[i].r, "c", 1, a, &s, &e) < 0);
		CHECK_STR(e.msg, cases[i].want);
		CHECK(!s.group);
	}
	CHECK(faccessat(root, "c", F_OK, 0) < 0 && faccessat(root, "new", F_OK, 0) < 0);
	remove_tree(root, top);
}

TEST(a_group_of_the_container_goes_with_it)
{
	const struct rdt_state s = { .group = "c", .is_ours = true };
	char top[sizeof TEMPLATE];
	int root = make_tree(top);

	CHECK(mkdirat(root, "c", 0755) == 0);
	rdt_remove(root, &s);
	CHECK(faccessat(root, "c", F_OK, 0) < 0 && errno == ENOENT);
	remove_tree(root, top);
}
