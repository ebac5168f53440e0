#include "shim/address.h"

#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>

TEST(a_name_seen_on_a_real_machine)
{
	AUTO_ARENA struct arena *a = arena_new();

	CHECK_STR(shim_socket_path(a, "", "/tmp/wire/box/containerd.sock", "default", "o1"),
		  "/run/containerd/s/"
		  "3749faa793d71bb6e1ef24ba9e1be826b32d3b2748e3bda2dd70f0d6ec56a9c3");
}

TEST(parts_are_cleaned_as_a_path)
{
	AUTO_ARENA struct arena *a = arena_new();

	CHECK_STR(shim_socket_path(a, "/x//y/../z/", "/tmp//wire/./box/containerd.sock", "default",
				   "o1"),
		  "/x/z/3749faa793d71bb6e1ef24ba9e1be826b32d3b2748e3bda2dd70f0d6ec56a9c3");
}

static const char *group(struct arena *a, const char *config)
{
	char dir[] = "/tmp/shim-group-XXXXXX";
	const char *ret = NULL;
	struct err e = { 0 };

	CHECK(mkdtemp(dir));
	AUTO_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(file_replace(fd, "config.json", config, strlen(config), 0600, false) == 0);
	int r = shim_group_read(a, fd, "c1", &ret, &e);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
	return r < 0 ? arena_strdup(a, e.msg) : ret;
}

TEST(groups)
{
	AUTO_ARENA struct arena *a = arena_new();

	CHECK_STR(group(a, "{}"), "c1");
	CHECK_STR(group(a, "{\"annotations\":{\"x\":\"y\"}}"), "c1");
	CHECK_STR(group(a, "{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"s\"}}"), "s");
	CHECK_STR(group(a, "{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"s\","
			   "\"io.containerd.runc.v2.group\":\"g\"}}"),
		  "g");
	CHECK_STR(group(a, "[1]"), "read config.json: not an object");
}
