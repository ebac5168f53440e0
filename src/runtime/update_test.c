/* What `update` leaves in the state file, and shares of caches on a folder that stands for
 * resctrl's. */
#include "base/test.h"
#include "os/file.h"
#include "runtime/rdt_update.h"
#include "runtime/state.h"
#include "runtime/update.h"

#include <fcntl.h>
#include <sys/stat.h>

TEST(resources_in_the_state_file)
{
	static const char json[] = "{\"memory\":{\"limit\":5},\"unified\":{\"a.b\":\"\\\"\"}}";
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(1 << 16);
	struct oci_resources *r = NULL;
	struct state s = STATE_NONE, back;
	struct err e = { 0 };

	CHECK(!update_print(a, NULL));
	CHECK_OK(oci_resources_parse(a, json, strlen(json), &r, &e), &e);
	s.pub = (struct runtime_state){
		.id = "x", .oci_version = "1.0.2", .bundle = "/b", .rootfs = "/r"
	};
	s.resources = update_print(a, r);
	s.apparmor = "profile";
	s.selinux = "l:a:b:s0:c1,c2";
	state_print(&s, &out);
	CHECK_OK(state_parse(a, str_c(&out), out.len, &back, &e), &e);
	CHECK_OK(oci_resources_parse(a, back.resources, strlen(back.resources), &r, &e), &e);
	CHECK(r->memory.limit.v == 5);
	CHECK_STR(r->unified.v[0].value, "\"");
	CHECK_STR(back.apparmor, "profile");
	CHECK_STR(back.selinux, "l:a:b:s0:c1,c2");

	s.resources = NULL;
	str_reset(&out);
	state_print(&s, &out);
	CHECK_OK(state_parse(a, str_c(&out), out.len, &back, &e), &e);
	CHECK(!back.resources);
}

TEST(rdt_group_names)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "res:/\nmon:\n", "" },      { "res:/abc\nmon:m\n", "abc" },
		{ "mon:\nres:/x\n", "x" },    { "", "" },
		{ "res:/../../etc\n", ".." }, /* opened without a way up: O_NOFOLLOW, a folder */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *got = rdt_parse_group(rows[i].text);

		CHECK_STR(got, rows[i].want);
	}
}

TEST(rdt_is_refused_where_it_is_not)
{
	struct rdt_update u = { .root = "/nonexistent" };
	struct err e = { 0 };

	CHECK_OK(rdt_update_check(&u, &e), &e);
	u.l3_cache_schema = "L3:0=f";
	CHECK_FAIL(rdt_update_check(&u, &e), &e, ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "Intel RDT/CAT: l3 cache schema is not enabled");
	err_clear(&e);
	u = (struct rdt_update){ .root = "/nonexistent", .mem_bw_schema = "MB:0=20" };
	CHECK_FAIL(rdt_update_check(&u, &e), &e, ERR_FAILED_PRECONDITION);
	CHECK_STR(e.msg, "Intel RDT/MBA: memory bandwidth schema is not enabled");
}

TEST(rdt_writes_the_schema)
{
	char path[] = "/tmp/rdt-XXXXXX", text[64] = "";
	struct rdt_update u = { .l3_cache_schema = "L3:0=f" };
	const struct runtime_state s = { .id = "box", .pid = 0x7ffffff0 /* nobody */ };
	struct err e = { 0 };

	CHECK(mkdtemp(path));
	AUTO_FD int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int top = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(root, "info", 0700) == 0 && mkdirat(root, "info/L3", 0700) == 0);
	CHECK(mkdirat(root, "box", 0700) == 0);
	CHECK(file_replace(root, "box/tasks", "", 0, 0600, false) == 0);
	CHECK(file_replace(root, "box/schemata", "", 0, 0600, false) == 0);
	u.root = path;
	CHECK_OK(rdt_update_check(&u, &e), &e);
	CHECK_OK(rdt_update_write(&u, &s, &e), &e);
	AUTO_FD int fd = openat(root, "box/schemata", O_RDONLY | O_CLOEXEC);
	CHECK(read(fd, text, sizeof text - 1) > 0);
	CHECK_STR(text, "L3:0=f\n");
	CHECK(file_remove_tree(top, path + 5) == 0);
}
