#include "base/sha256.h"

#include <string.h>

void sha256_init(struct sha256 *h)
{
	SHA256_Init(&h->ctx);
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
	SHA256_Update(&h->ctx, p, n);
}

void sha256_hex(struct sha256 *h, char ret[SHA256_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[SHA256_DIGEST_LENGTH];

	SHA256_Final(sum, &h->ctx);
	for (size_t i = 0; i < sizeof sum; i++) {
		ret[2 * i] = digits[sum[i] >> 4];
		ret[2 * i + 1] = digits[sum[i] & 15];
	}
	ret[SHA256_HEX] = 0;
}

void sha256_digest(struct sha256 *h, char ret[DIGEST_SHA256 + 1])
{
	memcpy(ret, "sha256:", 7);
	sha256_hex(h, ret + 7);
}

void sha256_of(const void *p, size_t n, char ret[SHA256_HEX + 1])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, p, n);
	sha256_hex(&h, ret);
}
