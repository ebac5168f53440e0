/* mounts → operations: what each option says, what a bind keeps of its source, id maps. */
#include "base/test.h"
#include "os/syscall.h"
#include "runtime/plan.h"

#define HEAD                                                        \
	"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"rootfs\"}," \
	"\"process\":{\"cwd\":\"/\",\"args\":[\"sh\"]},\"mounts\":[{\"destination\":\"/m\","
#define USERNS                                                                  \
	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]," \
	"\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":10}],"    \
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":2000,\"size\":10}]}}"
#define NO_USERNS "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}"

static int make(struct arena *a, const char *mount, const char *rest, struct mount_op *ret,
		struct err *e)
{
	const char *text = arena_printf(a, HEAD "%s}],%s", mount, rest);
	struct plan_input in = { .id = "c", .bundle = "/b" };
	struct oci_spec *s = NULL;
	struct plan p;

	CHECK_OK(oci_spec_parse(a, text, strlen(text), &s, e), e);
	in.spec = s;
	int r = plan_make(a, &in, &p, e);
	if (r == 0) {
		*ret = p.mounts[0];
		plan_done(&p);
	}
	return r;
}

enum {
	RO = MOUNT_ATTR_RDONLY,
	NOSUID = MOUNT_ATTR_NOSUID,
	NODEV = MOUNT_ATTR_NODEV,
	NOEXEC = MOUNT_ATTR_NOEXEC,
	NOSYM = MOUNT_ATTR_NOSYMFOLLOW,
	TIMES = MOUNT_ATTR__ATIME,
	NOATIME = MOUNT_ATTR_NOATIME,
	STRICT = MOUNT_ATTR_STRICTATIME,
	NODIR = MOUNT_ATTR_NODIRATIME,
};

TEST(a_bind_has_what_its_options_say)
{
	static const struct {
		const char *options;
		uint64_t set, clear, drop;
	} cases[] = {
		{ "", 0, 0, 0 },
		{ ",\"rslave\"", 0, 0, 0 },
		{ ",\"rro\"", 0, 0, 0 },
		{ ",\"ro\"", RO, 0, NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"ro\",\"rw\"", 0, RO, NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"dev\",\"nosuid\"", NOSUID, NODEV, RO | NOEXEC | NOSYM },
		{ ",\"noatime\"", NOATIME, TIMES | NODIR, RO | NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"noatime\",\"atime\"", 0, 0, RO | NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"noatime\",\"norelatime\"", NOATIME, TIMES | NODIR,
		  RO | NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"nodiratime\"", NODIR, TIMES, RO | NOSUID | NODEV | NOEXEC | NOSYM },
		{ ",\"nodiratime\",\"strictatime\"", NODIR | STRICT, TIMES,
		  RO | NOSUID | NODEV | NOEXEC | NOSYM },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct err e = { 0 };
		struct mount_op op;

		CHECK_OK(make(a,
			      arena_printf(a, "\"source\":\"/s\",\"options\":[\"bind\"%s]",
					   cases[i].options),
			      NO_USERNS, &op, &e),
			 &e);
		CHECK(op.set == cases[i].set && op.clear == cases[i].clear);
		CHECK(op.drop == cases[i].drop);
	}
}

TEST(recursive_options_of_a_new_file_system_are_its_own)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct mount_op op;

	CHECK_OK(make(a, "\"type\":\"tmpfs\",\"options\":[\"rro\",\"nosuid\",\"rsuid\"]", NO_USERNS,
		      &op, &e),
		 &e);
	CHECK(op.set == 0 && op.late_readonly); /* a tmpfs: when all is made in it */
	CHECK_OK(make(a, "\"type\":\"sysfs\",\"options\":[\"rro\",\"nosuid\"]", NO_USERNS, &op, &e),
		 &e);
	CHECK(op.set == (RO | NOSUID) && !op.late_readonly);
}

#define MAPS                                                             \
	"\"uidMappings\":[{\"containerID\":1,\"hostID\":2,\"size\":3}]," \
	"\"gidMappings\":[{\"containerID\":4,\"hostID\":5,\"size\":6}]"

TEST(id_maps)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct mount_op op;

	CHECK_OK(make(a, "\"source\":\"s\",\"options\":[\"bind\"]," MAPS, NO_USERNS, &op, &e), &e);
	CHECK(op.idmap && !op.rec_idmap);
	CHECK_STR(op.uid_map, "1 2 3\n");
	CHECK_STR(op.gid_map, "4 5 6\n");
	CHECK_OK(make(a, "\"source\":\"s\",\"options\":[\"bind\",\"ridmap\"]," MAPS, USERNS, &op,
		      &e),
		 &e);
	CHECK(op.idmap && op.rec_idmap);
	CHECK_STR(op.uid_map, "1 2 3\n");
	CHECK_OK(make(a, "\"source\":\"s\",\"options\":[\"bind\",\"idmap\"]", USERNS, &op, &e), &e);
	CHECK_STR(op.uid_map, "0 1000 10\n");
	CHECK_STR(op.gid_map, "0 2000 10\n");
	CHECK_OK(make(a, "\"source\":\"s\",\"options\":[\"bind\",\"idmap\"]",
		      "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},"
		      "{\"type\":\"user\",\"path\":\"/n\"}]}}",
		      &op, &e),
		 &e);
	CHECK(op.idmap && !op.uid_map); /* by the joined one's fd */
}

TEST(refusals)
{
	static const char both[] = "invalid mount /m: id-mapped mounts must have both uid and gid "
				   "mappings specified";
	static const struct {
		const char *mount, *want;
	} cases[] = {
		{ "\"source\":\"s\",\"options\":[\"bind\",\"idmap\"]", both },
		{ "\"source\":\"s\",\"options\":[\"bind\"],"
		  "\"uidMappings\":[{\"containerID\":1,\"hostID\":2,\"size\":3}]",
		  both },
		{ "\"type\":\"tmpfs\"," MAPS,
		  "invalid mount /m: id-mapped mounts are only supported for bind-mounts" },
		{ "\"source\":\"s\",\"options\":[\"bind\",\"mode=1\"]",
		  "invalid mount /m: bind mounts cannot have any filesystem-specific options "
		  "applied" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct err e = { 0 };
		struct mount_op op;

		CHECK(make(a, cases[i].mount, NO_USERNS, &op, &e) < 0);
		CHECK_STR(e.msg, cases[i].want);
	}
}
