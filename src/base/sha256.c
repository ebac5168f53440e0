#include "base/sha256.h"

#include <stdbool.h>
#include <string.h>

#ifdef CASCO_LIBMD /* the same under other names, one context for all */
typedef SHA2_CTX SHA512_CTX;
#define SHA256_Init SHA256Init
#define SHA256_Update SHA256Update
#define SHA256_Final SHA256Final
#define SHA384_Init SHA384Init
#define SHA512_Init SHA512Init
#define SHA512_Update SHA512Update
#define SHA512_Final SHA512Final
#endif

void sha256_init(struct sha256 *h)
{
	SHA256_Init(&h->ctx);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
	SHA256_Update(&h->ctx, p, n);
}

static void put_hex(const uint8_t *sum, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[sum[i] >> 4];
		ret[2 * i + 1] = digits[sum[i] & 15];
	}
	ret[2 * n] = 0;
}

void sha256_hex(struct sha256 *h, char ret[SHA256_HEX + 1])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];

	SHA256_Final(sum, &h->ctx);
	put_hex(sum, sizeof sum, ret);
}

void sha256_digest(struct sha256 *h, char ret[DIGEST_SHA256 + 1])
{
	sha256_hex(h, stpcpy(ret, "sha256:"));
}

void sha256_of(const void *p, size_t n, char ret[SHA256_HEX + 1])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, p, n);
	sha256_hex(&h, ret);
}

void digest_like(const char *digest, const void *p, size_t n, char ret[DIGEST_MAX + 1])
{
	bool is_512 = strncmp(digest, "sha512:", 7) == 0,
	     is_384 = strncmp(digest, "sha384:", 7) == 0;
	uint8_t sum[SHA512_DIGEST_LENGTH];
	struct sha256 h;
	SHA512_CTX c;

	if (!is_512 && !is_384) {
		sha256_init(&h);
		sha256_add(&h, p, n);
		sha256_digest(&h, ret);
		return;
	}
	if (is_512)
		SHA512_Init(&c);
	else
		SHA384_Init(&c);
	SHA512_Update(&c, p, n);
	SHA512_Final(sum, &c); /* of either: the context knows its length */
	memcpy(ret, digest, 7);
	put_hex(sum, is_512 ? SHA512_DIGEST_LENGTH : SHA384_DIGEST_LENGTH, ret + 7);
}
