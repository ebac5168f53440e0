#include "runtime/features.h"

#include "base/jsonr.h"
#include "base/test.h"
#include "oci/spec.h"
#include "runtime/plan.h"

#include <string.h>

static json_object *member(json_object *o, const char *name)
{
	json_object *m = NULL;

	CHECK(json_object_object_get_ex(o, name, &m));
	return m;
}

TEST(a_document_with_everything_in_it)
{
	static const char *const lists[] = { "namespaces", "capabilities" };
	AUTO_STR struct str out = STR_INIT(1 << 20);
	AUTO_JSON json_object *o = NULL;
	struct err e = { 0 };

	features_print(&out);
	CHECK_OK(jsonr_parse(str_c(&out), out.len, &o, &e), &e);
	CHECK_STR(json_object_get_string(member(o, "ociVersionMin")), "1.0.0");
	CHECK_STR(json_object_get_string(member(o, "ociVersionMax")), OCI_SPEC_VERSION);
	CHECK(json_object_array_length(member(o, "hooks")) == 6);
	json_object *l = member(o, "linux");
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		CHECK(json_object_array_length(member(l, lists[i])) > 6);
	json_object *s = member(l, "seccomp");
	CHECK(json_object_array_length(member(s, "actions")) > 7);
	CHECK(json_object_array_length(member(s, "supportedFlags")) <=
	      json_object_array_length(member(s, "knownFlags")));
}

/* Each by its parser. */
TEST(every_mount_option_is_one)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *name;

	for (size_t i = 0; (name = plan_mount_option_name(i)); i++) {
		const char *options[] = { name, NULL };
		struct oci_mount m = { .destination = "/x",
				       /* id maps are for binds only */
				       .type = strstr(name, "idmap") ? "bind" : "tmpfs",
				       .source = "tmpfs",
				       .options = { options, 1 } };
		struct mount_op op;
		struct err e = { 0 };

		CHECK_OK(plan_mount(a, &m, &op, &e), &e);
		CHECK(op.n_params <= 1);
		CHECK(plan_knows_mount_option(name));
	}
	CHECK(!plan_knows_mount_option("size=1"));
}

TEST(fields_are_known_by_their_path)
{
	CHECK(oci_spec_knows("process.args"));
	CHECK(oci_spec_knows("linux.resources.memory.limit"));
	CHECK(!oci_spec_knows("linux.resources.bogus"));
	CHECK(!oci_spec_knows("process.args.x"));
	CHECK(!oci_spec_knows(""));
	CHECK_STR(oci_hook_name(0), "prestart");
	CHECK(!oci_hook_name(6));
}
