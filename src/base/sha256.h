/* SHA-256 for names and small texts (socket names, chain ids, cache keys) and for streams.
 *
 * libcrypto's low-level functions, linked as an archive: they use the processor's SHA instructions
 * (seven times libmd's speed) and need nothing else of the library, so that no program pays for
 * loading it.  Deprecated there in favour of providers, which are exactly what we do not want.
 *
 * runc and the shim hash little and start often: with musl they have libmd's, which asks the
 * processor nothing before main(). */
#pragma once

#include "base/macros.h"

#ifdef CASCO_LIBMD
#include <sha2.h>
typedef SHA2_CTX sha2_ctx;
#else
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
typedef SHA256_CTX sha2_ctx;
#endif

struct sha256 {
	sha2_ctx ctx;
};

enum { SHA256_HEX = 64, DIGEST_SHA256 = 7 + SHA256_HEX, DIGEST_MAX = 7 + 128 };

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
void sha256_hex(struct sha256 *h, char ret[SHA256_HEX + 1]); /* ends the run */
void sha256_digest(struct sha256 *h, char ret[DIGEST_SHA256 + 1]); /* with "sha256:" */

/* The hex of one text. */
void sha256_of(const void *p, size_t n, char ret[SHA256_HEX + 1]);

/* A document's digest by the algorithm of another digest: sha512:…, sha384:…, else sha256:…. */
void digest_like(const char *digest, const void *p, size_t n, char ret[DIGEST_MAX + 1]);
