#include "shim/options.h"

#include "base/test.h"
#include "os/file.h"

#include <fcntl.h>

/* Any{containerd.runc.v1.Options} as containerd 2.1 writes it: also a BootstrapParams by its bytes.
 */
static const char any[] = "\x0a\x1a"
			  "containerd.runc.v1.Options"
			  "\x12\x07"
			  "\x32\x05"
			  "/runc";

TEST(an_any_is_no_bootstrap)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct shim_boot b;
	struct shim_options o;
	struct err e = { 0 };

	CHECK_OK(shim_boot_decode(a, "c1", any, sizeof any - 1, &b, &e), &e);
	CHECK(!b.has_params);
	CHECK_STR(b.options_type, "containerd.runc.v1.Options");
	CHECK_OK(shim_options_decode(a, b.options_type, b.options_value, b.options_len, &o, &e),
		 &e);
	CHECK_STR(o.binary_name, "/runc");
	CHECK_STR(o.root, "");
}

TEST(bootstrap_params)
{
	static const char bytes[] = "\x0a\x02"
				    "c1"
				    "\x12\x07"
				    "default"
				    "\x2a\x05"
				    "/t.tt"
				    "\x42\x1e\x0a\x1c\x0a\x1a"
				    "containerd.runc.v1.Options"
				    "\x4a\x04"
				    "/s/d";
	AUTO_ARENA struct arena *a = arena_new();
	struct shim_boot b;
	struct err e = { 0 };

	CHECK_OK(shim_boot_decode(a, "c1", bytes, sizeof bytes - 1, &b, &e), &e);
	CHECK(b.has_params && b.options_len == 0);
	CHECK_STR(b.socket_dir, "/s/d");
	CHECK_STR(b.ttrpc_address, "/t.tt");
	CHECK_STR(b.options_type, "containerd.runc.v1.Options");
}

TEST(nothing_and_nonsense)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct shim_boot b;
	struct shim_options o;
	struct err e = { 0 };

	CHECK_OK(shim_boot_decode(a, "c1", NULL, 0, &b, &e), &e);
	CHECK(!b.has_params && !b.options_len);
	CHECK_FAIL(shim_boot_decode(a, "c1", "\xff\xff", 2, &b, &e), &e, ERR_INVALID_ARGUMENT);
	err_clear(&e);
	CHECK_FAIL(shim_options_decode(a, "runtimeoptions.v1.Options", "x", 1, &o, &e), &e,
		   ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "runtime options of type \"runtimeoptions.v1.Options\" are not supported");
}

TEST(saved_and_loaded)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct shim_options o = shim_options_default, back;
	char dir[] = "/tmp/shim-options-XXXXXX";
	AUTO_FREE char *text = NULL;
	struct err e = { 0 };

	CHECK(mkdtemp(dir));
	AUTO_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK_OK(shim_options_load(a, fd, &back, &e), &e);
	CHECK_STR(back.root, "");
	o.binary_name = "/usr/bin/crun";
	o.root = "/r";
	o.systemd_cgroup = true;
	o.io_uid = 4294967295u;
	CHECK_OK(shim_options_save(fd, &o, &e), &e);
	CHECK_OK(shim_options_load(a, fd, &back, &e), &e);
	CHECK_STR(back.binary_name, "/usr/bin/crun");
	CHECK_STR(back.root, "/r");
	CHECK(back.systemd_cgroup && back.io_uid == 4294967295u && !back.no_pivot_root);
	CHECK(file_read(fd, "runtime", 100, &text, NULL) == 0);
	CHECK_STR(text, "/usr/bin/crun");
	CHECK(file_replace(fd, "options.json", "{\"io_uid\":-1}", 13, 0600, false) == 0);
	CHECK(shim_options_load(a, fd, &back, &e) < 0);
	CHECK(file_remove_tree(AT_FDCWD, dir) == 0);
}
