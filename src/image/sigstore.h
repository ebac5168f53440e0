/* Signatures as cosign makes them: a "simple signing" payload that names an image by its digest,
 * and a signature of these bytes, checked offline with a public key (ECDSA, RSA, Ed25519). */
#pragma once

#include "base/err.h"
#include "base/mem.h"

struct sigstore_signature {
	const char *payload; /* n bytes */
	size_t n;
	const char *base64; /* of the signature */
};

/* Is it by the owner of this key (PEM)?  ERR_PERMISSION_DENIED when it is not; other classes for a
 * key that is none. */
int sigstore_check(const struct sigstore_signature *s, const char *pem, size_t n, struct err *e);

/* What a payload is about; strict: unknown members of its critical part are errors. */
struct sigstore_claim {
	const char *reference, *digest;
};
int sigstore_claim(struct arena *a, const struct sigstore_signature *s, struct sigstore_claim *ret,
		   struct err *e);
