#include "image/policy.h"

#include "base/str.h"
#include "base/test.h"

#include <string.h>

static int find(const char *text, const char *transport, const char *name, struct policy_rules *ret,
		struct err *e)
{
	static AUTO_JSON json_object *root;
	AUTO_REFERENCE struct reference ref = { 0 };
	struct arena *a = arena_new();
	int r;

	if (policy_parse(text, strlen(text), &root, e) < 0) {
		arena_free(a);
		return -1;
	}
	CHECK(reference_parse(name, &ref, e) == 0);
	r = policy_find(root, a, transport, &ref, ret, e);
	if (r == 0)
		ret->scope = strcmp(ret->scope, "default") == 0 ? "default" : "other";
	json_object_put(root);
	root = NULL;
	arena_free(a);
	return r;
}

#define REJECT "[{\"type\":\"reject\"}]"
#define ACCEPT "[{\"type\":\"insecureAcceptAnything\"}]"

TEST(the_narrowest_scope_counts)
{
	static const struct {
		const char *scope, *name;
		bool fits;
	} rows[] = {
		{ "docker.io/library/busybox:latest", "busybox:latest", true },
		{ "docker.io/library/busybox:1", "busybox:latest", false },
		{ "docker.io/library/busybox", "busybox:latest", true },
		{ "docker.io/library", "busybox:latest", true },
		{ "docker.io/lib", "busybox:latest", false },
		{ "docker.io", "busybox:latest", true },
		{ "*.example.com", "a.b.example.com:5000/x:1", true },
		{ "*.b.example.com", "a.b.example.com/x:1", true },
		{ "*.example.com", "example.com/x:1", false },
		{ "*.ample.com", "a.example.com/x:1", false },
		{ "localhost:5000", "localhost:5000/x:1", true },
		{ "localhost", "localhost:5000/x:1", false },
		{ "", "anything.example/x:1", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text =
			xasprintf("{\"default\":" REJECT ",\"transports\":{\"docker\":"
				  "{\"%s\":" ACCEPT "}}}",
				  rows[i].scope);
		struct policy_rules r;
		struct err e = { 0 };

		CHECK_OK(find(text, "docker", rows[i].name, &r, &e), &e);
		CHECK(r.n == 1);
		CHECK((r.v[0].kind == POLICY_ACCEPT) == rows[i].fits);
	}
}

TEST(another_transport_has_the_default)
{
	struct policy_rules r;
	struct err e = { 0 };

	CHECK_OK(find("{\"default\":" REJECT ",\"transports\":{\"docker\":{\"\":" ACCEPT "}}}",
		      "oci-archive", "busybox:1", &r, &e),
		 &e);
	CHECK(r.v[0].kind == POLICY_REJECT);
}

TEST(what_is_wrong_is_told)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{}", "default policy is missing" },
		{ "{\"default\":[]}", "\"default\" has 0 requirements" },
		{ "{\"default\":[{\"type\":\"accept\"}]}",
		  "unknown policy requirement type \"accept\"" },
		{ "{\"default\":" REJECT ",\"transport\":{}}", "unknown key \"transport\"" },
		{ "{\"default\":[{\"type\":\"reject\",\"keyPath\":\"/k\"}]}",
		  "unknown key \"keyPath\"" },
		{ "{\"default\":[{\"type\":\"sigstoreSigned\"}]}", "exactly one of keyPath" },
		{ "{\"default\":" REJECT ",\"transports\":{\"docker\":{\"x.y\":[{}]}}}",
		  "scope \"x.y\"" },
		{ "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		  "k\",\"signedIdentity\":"
		  "{\"type\":\"any\"}}]}",
		  "unknown policy reference match type \"any\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_rules r;
		struct err e = { 0 };

		CHECK(find(rows[i].text, "docker", "x:1", &r, &e) < 0);
		CHECK(strstr(e.msg, rows[i].says));
	}
}

TEST(identities)
{
	static const char digest[] =
		"x.y/a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	static const struct {
		enum policy_identity id;
		const char *ref, *signed_ref, *p, *q;
		bool fits;
	} rows[] = {
		{ IDENTITY_REPO_DIGEST_OR_EXACT, "x.y/a:1", "x.y/a:1", NULL, NULL, true },
		{ IDENTITY_REPO_DIGEST_OR_EXACT, "x.y/a:1", "x.y/a:2", NULL, NULL, false },
		{ IDENTITY_REPO_DIGEST_OR_EXACT, "x.y/a:1", "x.y/a", NULL, NULL, false },
		{ IDENTITY_REPO_DIGEST_OR_EXACT, digest, "x.y/a:2", NULL, NULL, true },
		{ IDENTITY_EXACT, digest, "x.y/a:2", NULL, NULL, false },
		{ IDENTITY_REPOSITORY, "x.y/a:1", "x.y/a", NULL, NULL, true },
		{ IDENTITY_REPOSITORY, "x.y/a:1", "x.y/a/b", NULL, NULL, false },
		{ IDENTITY_EXACT_REFERENCE, "x.y/a:1", "z.y/b:1", "z.y/b:1", NULL, true },
		{ IDENTITY_EXACT_REPOSITORY, "x.y/a:1", "z.y/b", "z.y/b", NULL, true },
		{ IDENTITY_REMAP, "m.y/o/a:1", "x.y/a:1", "m.y/o", "x.y", true },
		{ IDENTITY_REMAP, "m.y/ox/a:1", "x.y/x/a:1", "m.y/o", "x.y", false },
		{ IDENTITY_REPOSITORY, "x.y/a:1", "../../a", NULL, NULL, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_rule r = { .identity = rows[i].id,
					       .reference = rows[i].p,
					       .signed_prefix = rows[i].q };
		AUTO_REFERENCE struct reference ref = { 0 };
		struct err e = { 0 };

		CHECK_OK(reference_parse(rows[i].ref, &ref, &e), &e);
		CHECK(policy_identity_fits(&r, &ref, rows[i].signed_ref) == rows[i].fits);
	}
}
