#include "image/sigstore.h"

#include "base/base64.h"
#include "base/ident.h"
#include "base/jsonr.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

enum { SIGNATURE_MAX = 8192 };

static const char payload_type[] = "cosign container image signature";

static int verify(EVP_PKEY *key, const struct sigstore_signature *s, const unsigned char *sig,
		  size_t n)
{
	/* Ed25519 signs the bytes themselves */
	const EVP_MD *md = EVP_PKEY_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = ctx ? EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) : 0;

	if (r == 1)
		r = EVP_DigestVerify(ctx, sig, n, (const unsigned char *)s->payload, s->n);
	EVP_MD_CTX_free(ctx);
	return r;
}

int sigstore_check(const struct sigstore_signature *s, const char *pem, size_t n, struct err *e)
{
	size_t len = 0;
	AUTO_FREE char *sig = base64_decode(s->base64, SIGNATURE_MAX, &len);
	BIO *bio = BIO_new_mem_buf(pem, (int)n);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	int r;

	BIO_free(bio);
	if (!key)
		return err_set(e, ERR_INVALID_ARGUMENT, "parsing public key: no PEM block of one");
	r = sig ? verify(key, s, (const unsigned char *)sig, len) : 0;
	EVP_PKEY_free(key);
	return r == 1 ? 0
		      : err_set(e, ERR_PERMISSION_DENIED,
				"cryptographic signature verification failed: invalid signature "
				"when validating ASN.1 encoded signature");
}

static int count(json_object *o)
{
	return o ? json_object_object_length(o) : 0;
}

int sigstore_claim(struct arena *a, const struct sigstore_signature *s, struct sigstore_claim *ret,
		   struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	json_object *critical = NULL, *identity = NULL, *image = NULL;
	const char *type = "", *reference = NULL, *digest = NULL;

	if (jsonr_parse(s->payload, s->n, &root, e) < 0 ||
	    jsonr_object(root, "critical", &critical, e) < 0)
		return -1;
	if (!critical)
		return err_set(e, ERR_INVALID_ARGUMENT, "the payload has no critical part");
	if (jsonr_string(critical, "type", &type, e) < 0 ||
	    jsonr_object(critical, "identity", &identity, e) < 0 ||
	    jsonr_object(critical, "image", &image, e) < 0 ||
	    (identity && jsonr_string(identity, "docker-reference", &reference, e) < 0) ||
	    (image && jsonr_string(image, "docker-manifest-digest", &digest, e) < 0))
		return -1;
	if (strcmp(type, payload_type) != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "unrecognized signature type \"%.60s\"",
			       type);
	if (count(critical) != 3 || count(identity) != 1 || count(image) != 1 || !reference ||
	    !digest || !digest_is_valid(digest))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "the payload's critical part is not as it has to be");
	*ret = (struct sigstore_claim){ arena_strdup(a, reference), arena_strdup(a, digest) };
	return 0;
}
