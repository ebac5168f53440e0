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

TEST(digests_follow_the_algorithm_of_another)
{
	static const char *const rows[][2] = {
		{ "sha384:", "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
			     "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7" },
		{ "sha512:", "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"
			     "0a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
			     "454d4423643ce80e2a9ac94fa54ca49f" },
		{ "sha256:",
		  "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	};
	char digest[DIGEST_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		digest_like(rows[i][0], "abc", 3, digest);
		CHECK_STR(digest, rows[i][1]);
	}
}
