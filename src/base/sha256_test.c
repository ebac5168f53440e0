#include "base/sha256.h"
#include "base/test.h"

TEST(sha256_knows_the_empty_and_abc_vectors)
{
	char hex[SHA256_HEX + 1], digest[DIGEST_SHA256 + 1];
	struct sha256 h;

	sha256_of("", 0, hex);
	CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_init(&h);
	sha256_add(&h, "a", 1);
	sha256_add(&h, "bc", 2);
	sha256_digest(&h, digest);
	CHECK_STR(digest,
		  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
