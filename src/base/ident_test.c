#include "base/ident.h"
#include "base/test.h"

TEST(identifiers_follow_containerd)
{
	static const char *const good[] = { "default", "k8s.io", "a", "A1-b_c.d", "moby" };
	static const char *const bad[] = { "",    ".",   "..", "-a",   "a-", "a..b",
					   "a/b", "a b", "ä",  "a--b", "a\n" };
	char name[78];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(ident_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!ident_is_valid(bad[i]));
	memset(name, 'a', sizeof name);
	name[76] = 0;
	CHECK(ident_is_valid(name));
	name[76] = 'a';
	name[77] = 0;
	CHECK(!ident_is_valid(name));
}

TEST(runc_ids_are_one_path_part)
{
	CHECK(ident_is_runc_id("a_b+c.d-e") && ident_is_runc_id("..a"));
	CHECK(!ident_is_runc_id("") && !ident_is_runc_id("..") && !ident_is_runc_id("a/b"));
}

TEST(digests_have_an_exact_length)
{
	char d[128] = "sha256:";

	memset(d + 7, 'a', 64);
	CHECK(digest_is_valid(d));
	d[70] = 'A';
	CHECK(!digest_is_valid(d));
	d[70] = 0;
	CHECK(!digest_is_valid(d));
	CHECK(!digest_is_valid("sha256:../../etc/passwd") && !digest_is_valid("md5:abc"));
}
