/* Which images may come in: containers-policy.json(5), as podman, buildah and skopeo read it.
 *
 * The requirements of the narrowest scope that names an image hold, all of them:
 * insecureAcceptAnything, reject, and sigstoreSigned with public keys.  What we cannot check
 * (signedBy: GPG; fulcio; rekor) rejects; what the file should not hold is an error. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "base/mem.h"
#include "oci/reference.h"

enum policy_kind { POLICY_ACCEPT, POLICY_REJECT, POLICY_SIGSTORE, POLICY_UNKNOWN };

enum policy_identity {
	IDENTITY_REPO_DIGEST_OR_EXACT, /* the default */
	IDENTITY_EXACT,
	IDENTITY_REPOSITORY,
	IDENTITY_EXACT_REFERENCE,
	IDENTITY_EXACT_REPOSITORY,
	IDENTITY_REMAP,
};

enum { POLICY_KEYS = 16, POLICY_RULES = 32, POLICY_MAX = 1 << 20 };

struct policy_rule {
	enum policy_kind kind;
	const char *type; /* as the file has it */
	const char *lacks; /* of UNKNOWN: what is not supported */
	const char *paths[POLICY_KEYS]; /* files of public keys: any of them will do */
	const char *data[POLICY_KEYS]; /* base64 of PEM */
	size_t n_paths, n_data;
	enum policy_identity identity;
	const char *reference; /* of EXACT_*; of REMAP: its prefix */
	const char *signed_prefix;
};

struct policy_rules {
	const char *scope; /* for messages */
	struct policy_rule v[POLICY_RULES];
	size_t n;
};

/* The whole file; ERR_INVALID_ARGUMENT says what is wrong with it. */
int policy_parse(const char *text, size_t n, json_object **ret, struct err *e);

/* What holds for ref, of transport "docker" ("docker-archive", …: their own or the default alone).
 * Strings are borrowed from policy or a's. */
int policy_find(json_object *policy, struct arena *a, const char *transport,
		const struct reference *ref, struct policy_rules *ret, struct err *e);

/* Does a signature for `signed_ref` count for ref? */
bool policy_identity_fits(const struct policy_rule *r, const struct reference *ref,
			  const char *signed_ref);
