/* The worker's half of verifying: the job "verify" applies a policy to one image; a pull fetches
 * the signatures that it needs. */
#include "image/policy.h"
#include "image/worker.h"

#include "base/base64.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { KEY_MAX = 64 * 1024, PAYLOAD_MAX = 16 * 1024, SIGNATURES_BYTES = 96 * 1024 };

static const char payload_type[] = "application/vnd.dev.cosign.simplesigning.v1+json";
static const char signature_key[] = "dev.cosignproject.cosign/signature";

static int find_rules(struct arena *a, const char *path, const char *transport, const char *name,
		      struct reference *ref, json_object **ret_root, struct policy_rules *ret,
		      struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, path, POLICY_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "read policy %s", path);
	if (policy_parse(text, n, ret_root, e) < 0)
		return err_wrap(e, "invalid policy in %s", path);
	if (strcmp(transport, "docker") == 0 && reference_parse(name, ref, e) < 0)
		return -1;
	return policy_find(*ret_root, a, transport, ref, ret, e);
}

/* --- the job ---------------------------------------------------------------------------------- */

static int check_key_file(const struct sigstore_signature *s, const char *path, struct err *e)
{
	AUTO_FREE char *pem = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, path, KEY_MAX, &pem, &n);

	if (r < 0)
		return err_sys(e, -r, "read key %s", path);
	return sigstore_check(s, pem, n, e) < 0 ? err_wrap(e, "key %s", path) : 0;
}

/* Any of the rule's keys; the last failure is told. */
static int check_keys(const struct policy_rule *r, const struct sigstore_signature *s,
		      struct err *e)
{
	for (size_t i = 0; i < r->n_paths; i++) {
		err_clear(e);
		if (check_key_file(s, r->paths[i], e) == 0)
			return 0;
	}
	for (size_t i = 0; i < r->n_data; i++) {
		size_t n;
		AUTO_FREE char *pem = base64_decode(r->data[i], KEY_MAX, &n);

		err_clear(e);
		if (!pem)
			(void)err_set(e, ERR_INVALID_ARGUMENT, "keyData is no base64");
		else if (sigstore_check(s, pem, n, e) == 0)
			return 0;
	}
	return -1;
}

static int check_signature(struct arena *a, const struct policy_rule *r,
			   const struct reference *ref, const char *digest,
			   const struct sigstore_signature *s, struct err *e)
{
	struct sigstore_claim claim;

	if (check_keys(r, s, e) < 0 || sigstore_claim(a, s, &claim, e) < 0)
		return -1;
	if (strcmp(claim.digest, digest) != 0)
		return err_set(e, ERR_PERMISSION_DENIED, "Signature for image digest %s",
			       claim.digest);
	if (!policy_identity_fits(r, ref, claim.reference))
		return err_set(e, ERR_PERMISSION_DENIED,
			       "Signature for identity \"%.200s\" is not accepted",
			       claim.reference);
	return 0;
}

static int check_signatures(struct worker *w, const struct policy_rule *r,
			    const struct reference *ref, struct err *e)
{
	const struct transfer_verify *v = &w->job.verify;

	if (v->n_signatures == 0)
		return err_set(e, ERR_PERMISSION_DENIED,
			       "A signature was required, but no signature exists");
	for (size_t i = 0; i < v->n_signatures; i++) {
		err_clear(e);
		if (check_signature(w->arena, r, ref, w->job.image.target.digest, &v->signatures[i],
				    e) == 0)
			return 0;
	}
	return -1;
}

static int check_rule(struct worker *w, const struct policy_rules *rules,
		      const struct policy_rule *r, const struct reference *ref, struct err *e)
{
	switch (r->kind) {
	case POLICY_ACCEPT:
		return 0;
	case POLICY_SIGSTORE:
		return check_signatures(w, r, ref, e);
	case POLICY_UNKNOWN:
		return err_set(e, ERR_PERMISSION_DENIED,
			       "the policy of scope \"%s\" wants %s, which cannot be checked here",
			       rules->scope, r->lacks);
	case POLICY_REJECT:
		break;
	}
	return err_set(e, ERR_PERMISSION_DENIED, "Running image %s:%s is rejected by policy.",
		       w->job.verify.transport, w->job.image.name);
}

int worker_verify(struct worker *w, struct err *e)
{
	AUTO_FREE struct policy_rules *rules = NEW(struct policy_rules);
	AUTO_REFERENCE struct reference ref = { 0 };
	AUTO_JSON json_object *root = NULL;

	if (find_rules(w->arena, w->job.verify.policy, w->job.verify.transport, w->job.image.name,
		       &ref, &root, rules, e) < 0)
		return -1;
	for (size_t i = 0; i < rules->n; i++)
		if (check_rule(w, rules, &rules->v[i], &ref, e) < 0) {
			e->code = ERR_PERMISSION_DENIED; /* whatever kept it from being checked */
			return -1;
		}
	return 0;
}

/* --- a pull's signatures ---------------------------------------------------------------------- */

static int add_signature(struct worker *w, const struct oci_descriptor *d, struct peer_verdict *q,
			 size_t *bytes, struct err *e)
{
	const char *base64 = NULL;
	char *payload;
	size_t n;

	for (size_t i = 0; i < d->n_annotations; i++)
		if (strcmp(d->annotations[i].key, signature_key) == 0)
			base64 = d->annotations[i].value;
	/* what else is there is of newer kinds, and no reason to fail */
	if (!base64 || strcmp(d->media_type, payload_type) != 0 || d->size > PAYLOAD_MAX ||
	    q->n == PEER_SIGNATURES)
		return 0;
	*bytes += d->size + strlen(base64);
	if (*bytes > SIGNATURES_BYTES)
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "too many signatures");
	if (registry_get_document(w->registry, w->arena, d, &payload, &n, e) < 0)
		return -1;
	q->v[q->n++] = (struct sigstore_signature){ payload, n, base64 };
	return 0;
}

/* cosign's place for them: the tag sha256-HEX.sig of the same repository. */
static int fetch_signatures(struct worker *w, const char *digest, struct peer_verdict *q,
			    struct err *e)
{
	const char *colon = strchr(digest, ':');
	const char *tag =
		arena_printf(w->arena, "%.*s-%s.sig", (int)(colon - digest), digest, colon + 1);
	struct oci_descriptor top;
	struct image_doc doc;
	struct err why = { 0 };
	size_t n, bytes = 0;
	char *text;

	if (registry_resolve_tag(w->registry, w->arena, tag, &top, &why) < 0)
		return why.code == ERR_NOT_FOUND ? 0 : err_copy(e, &why);
	if (registry_get_document(w->registry, w->arena, &top, &text, &n, e) < 0 ||
	    image_doc_parse(w->arena, top.media_type, text, n, &doc, e) < 0)
		return err_wrap(e, "failed to read signatures");
	for (size_t i = 0; i < doc.n_layers; i++)
		if (add_signature(w, &doc.layers[i], q, &bytes, e) < 0)
			return -1;
	return 0;
}

/* Only so that images that need none cost no question. */
static bool wants_signatures(struct worker *w)
{
	AUTO_FREE struct policy_rules *rules = NEW(struct policy_rules);
	AUTO_REFERENCE struct reference ref = { 0 };
	AUTO_JSON json_object *root = NULL;
	struct err lost = { 0 };

	if (!*w->job.verify.policy || find_rules(w->arena, w->job.verify.policy, "docker", w->name,
						 &ref, &root, rules, &lost) < 0)
		return false; /* who judges will say why */
	for (size_t i = 0; i < rules->n; i++)
		if (rules->v[i].kind == POLICY_SIGSTORE)
			return true;
	return false;
}

int worker_ask_verdict(struct worker *w, const struct oci_descriptor *target, struct err *e)
{
	struct peer_verdict q = { .name = w->name, .target = target };

	if (!w->job.verify.policy)
		return 0;
	if (wants_signatures(w) && fetch_signatures(w, target->digest, &q, e) < 0)
		return -1;
	return peer_verify(&w->peer, &q, e);
}
