#include "image/policy.h"

#include "base/str.h"

#include <string.h>

static const char *const rule_keys[] = { "type",
					 "keyPath",
					 "keyPaths",
					 "keyData",
					 "keyDatas",
					 "fulcio",
					 "pki",
					 "rekorPublicKeyPath",
					 "rekorPublicKeyPaths",
					 "rekorPublicKeyData",
					 "rekorPublicKeyDatas",
					 "signedIdentity",
					 NULL };
static const char *const gpg_keys[] = { "type",    "keyType",        "keyPath", "keyPaths",
					"keyData", "signedIdentity", NULL };
static const char *const plain_keys[] = { "type", NULL };

/* A misspelt key must not weaken a policy. */
static int check_keys(json_object *o, const char *const *known, const char *where, struct err *e)
{
	json_object_object_foreach(o, key, unused)
	{
		size_t i = 0;

		(void)unused;
		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return err_set(e, ERR_INVALID_ARGUMENT, "unknown key \"%s\" in %s", key,
				       where);
	}
	return 0;
}

/* ONE: a string; MANY: a list of them. */
static int read_keys(json_object *o, const char *one, const char *many, const char **v, size_t *n,
		     struct err *e)
{
	json_object *list = NULL;
	const char *s = NULL;

	if (jsonr_string(o, one, &s, e) < 0 || jsonr_array(o, many, &list, e) < 0)
		return -1;
	if (s)
		v[(*n)++] = s;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *m = json_object_array_get_idx(list, i);

		if (!json_object_is_type(m, json_type_string) || *n == POLICY_KEYS)
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for %s", many);
		v[(*n)++] = json_object_get_string(m);
	}
	return 0;
}

static int read_identity(json_object *o, struct policy_rule *r, struct err *e)
{
	static const struct {
		const char *type;
		enum policy_identity id;
		const char *keys[4];
	} types[] = {
		{ "matchRepoDigestOrExact", IDENTITY_REPO_DIGEST_OR_EXACT, { "type" } },
		{ "matchExact", IDENTITY_EXACT, { "type" } },
		{ "matchRepository", IDENTITY_REPOSITORY, { "type" } },
		{ "exactReference", IDENTITY_EXACT_REFERENCE, { "type", "dockerReference" } },
		{ "exactRepository", IDENTITY_EXACT_REPOSITORY, { "type", "dockerRepository" } },
		{ "remapIdentity", IDENTITY_REMAP, { "type", "prefix", "signedPrefix" } },
	};
	json_object *m = NULL;
	const char *type = "";
	size_t i = 0;

	if (jsonr_object(o, "signedIdentity", &m, e) < 0)
		return -1;
	if (!m)
		return 0;
	if (jsonr_string(m, "type", &type, e) < 0)
		return -1;
	while (i < ARRAY_LEN(types) && strcmp(types[i].type, type) != 0)
		i++;
	if (i == ARRAY_LEN(types))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "unknown policy reference match type \"%s\"", type);
	r->identity = types[i].id;
	if (check_keys(m, types[i].keys, "signedIdentity", e) < 0)
		return -1;
	for (size_t k = 1; types[i].keys[k]; k++) {
		const char **to = k == 2 ? &r->signed_prefix : &r->reference;

		if (jsonr_string(m, types[i].keys[k], to, e) < 0)
			return -1;
		if (!*to || !**to)
			return err_set(e, ERR_INVALID_ARGUMENT, "%s lacks %s", type,
				       types[i].keys[k]);
	}
	return 0;
}

static int read_sigstore(json_object *o, struct policy_rule *r, struct err *e)
{
	static const char *const unsupported[] = { "fulcio",
						   "pki",
						   "rekorPublicKeyPath",
						   "rekorPublicKeyPaths",
						   "rekorPublicKeyData",
						   "rekorPublicKeyDatas" };

	r->kind = POLICY_SIGSTORE;
	if (check_keys(o, rule_keys, "sigstoreSigned", e) < 0 ||
	    read_keys(o, "keyPath", "keyPaths", r->paths, &r->n_paths, e) < 0 ||
	    read_keys(o, "keyData", "keyDatas", r->data, &r->n_data, e) < 0 ||
	    read_identity(o, r, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
		if (json_object_object_get_ex(o, unsupported[i], NULL)) {
			r->kind = POLICY_UNKNOWN;
			r->lacks = unsupported[i];
			return 0;
		}
	if (r->n_paths + r->n_data == 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "exactly one of keyPath, keyPaths, keyData and keyDatas must be "
			       "specified");
	return 0;
}

static int read_rule(json_object *o, struct policy_rule *r, struct err *e)
{
	*r = (struct policy_rule){ .type = "" };
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "a policy requirement is no object");
	if (jsonr_string(o, "type", &r->type, e) < 0)
		return -1;
	if (strcmp(r->type, "sigstoreSigned") == 0)
		return read_sigstore(o, r, e);
	if (strcmp(r->type, "signedBy") == 0) {
		r->kind = POLICY_UNKNOWN;
		r->lacks = "signedBy";
		return check_keys(o, gpg_keys, "signedBy", e);
	}
	if (strcmp(r->type, "insecureAcceptAnything") == 0)
		r->kind = POLICY_ACCEPT;
	else if (strcmp(r->type, "reject") == 0)
		r->kind = POLICY_REJECT;
	else
		return err_set(e, ERR_INVALID_ARGUMENT, "unknown policy requirement type \"%s\"",
			       r->type);
	return check_keys(o, plain_keys, r->type, e);
}

static int read_rules(json_object *list, const char *scope, struct policy_rules *ret, struct err *e)
{
	size_t n;

	if (!json_object_is_type(list, json_type_array))
		return err_set(e, ERR_INVALID_ARGUMENT, "the requirements of \"%s\" are no list",
			       scope);
	n = json_object_array_length(list);
	if (n == 0 || n > POLICY_RULES)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "\"%s\" has %zu requirements: one is needed, %d are possible", scope,
			       n, POLICY_RULES);
	ret->scope = scope;
	ret->n = n;
	for (size_t i = 0; i < n; i++)
		if (read_rule(json_object_array_get_idx(list, i), &ret->v[i], e) < 0)
			return err_wrap(e, "scope \"%s\"", scope);
	return 0;
}

/* --- the file --------------------------------------------------------------------------------- */

static int check_scopes(json_object *scopes, const char *transport, struct policy_rules *room,
			struct err *e)
{
	if (!json_object_is_type(scopes, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "transport \"%s\" is no object", transport);
	json_object_object_foreach(scopes, scope, list)
	{
		if (read_rules(list, scope, room, e) < 0)
			return err_wrap(e, "transport \"%s\"", transport);
	}
	return 0;
}

/* All of it is read, so that a mistake shows at once, not at the image it is about. */
static int check(json_object *root, struct err *e)
{
	static const char *const keys[] = { "default", "transports", NULL };
	AUTO_FREE struct policy_rules *room = NEW(struct policy_rules);
	json_object *transports = NULL, *list = NULL;

	if (!json_object_is_type(root, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the policy is no object");
	if (check_keys(root, keys, "the policy", e) < 0 ||
	    jsonr_array(root, "default", &list, e) < 0 ||
	    jsonr_object(root, "transports", &transports, e) < 0)
		return -1;
	if (!list)
		return err_set(e, ERR_INVALID_ARGUMENT, "default policy is missing");
	if (read_rules(list, "default", room, e) < 0)
		return -1;
	if (!transports)
		return 0;
	json_object_object_foreach(transports, transport, scopes)
	{
		if (check_scopes(scopes, transport, room, e) < 0)
			return -1;
	}
	return 0;
}

int policy_parse(const char *text, size_t n, json_object **ret, struct err *e)
{
	AUTO_JSON json_object *root = NULL;

	if (jsonr_parse(text, n, &root, e) < 0 || check(root, e) < 0)
		return -1;
	*ret = TAKE_PTR(root);
	return 0;
}

/* --- scopes ----------------------------------------------------------------------------------- */

/* 1: there is such a scope. */
static int try_scope(json_object *scopes, const char *name, struct policy_rules *ret, struct err *e)
{
	json_object *list;

	if (!json_object_object_get_ex(scopes, name, &list))
		return 0;
	return read_rules(list, name, ret, e) < 0 ? -1 : 1;
}

/* From DOMAIN/a/b:tag (or @digest) over DOMAIN/a/b and DOMAIN/a to DOMAIN. */
static int try_names(json_object *scopes, struct arena *a, const struct reference *ref,
		     struct policy_rules *ret, struct err *e)
{
	char *name = arena_printf(a, "%s/%s", ref->domain, ref->path);
	const char *whole = ref->digest ? arena_printf(a, "%s@%s", name, ref->digest)
			    : ref->tag  ? arena_printf(a, "%s:%s", name, ref->tag)
					: name;
	int r = try_scope(scopes, whole, ret, e);

	while (r == 0) {
		r = try_scope(scopes, name, ret, e);
		char *slash = strrchr(name, '/');
		if (!slash)
			break;
		*slash = 0;
	}
	return r;
}

/* "*.b.example", "*.example": without a port, as a scope cannot have one. */
static int try_wildcards(json_object *scopes, struct arena *a, const char *domain,
			 struct policy_rules *ret, struct err *e)
{
	const char *name = arena_strndup(a, domain, strcspn(domain, ":"));
	int r = 0;

	for (const char *dot = strchr(name, '.'); dot && r == 0; dot = strchr(dot + 1, '.'))
		r = try_scope(scopes, arena_printf(a, "*%s", dot), ret, e);
	return r;
}

int policy_find(json_object *policy, struct arena *a, const char *transport,
		const struct reference *ref, struct policy_rules *ret, struct err *e)
{
	json_object *transports = NULL, *scopes = NULL, *list = NULL;
	bool is_docker = strcmp(transport, "docker") == 0;
	int r = 0;

	if (jsonr_object(policy, "transports", &transports, e) < 0)
		return -1;
	if (transports && jsonr_object(transports, transport, &scopes, e) < 0)
		return -1;
	if (scopes && is_docker) {
		r = try_names(scopes, a, ref, ret, e);
		if (r == 0)
			r = try_wildcards(scopes, a, ref->domain, ret, e);
	}
	if (scopes && r == 0)
		r = try_scope(scopes, "", ret, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (jsonr_array(policy, "default", &list, e) < 0)
		return -1;
	return read_rules(list, "default", ret, e);
}

/* --- identities ------------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_repository(const struct reference *a, const struct reference *b)
{
	return strcmp(a->domain, b->domain) == 0 && strcmp(a->path, b->path) == 0;
}

static bool same_exactly(const struct reference *a, const struct reference *b)
{
	return same_repository(a, b) && same(a->tag, b->tag) && same(a->digest, b->digest) &&
	       (a->tag || a->digest);
}

static bool repo_digest_or_exact(const struct reference *ref, const struct reference *s)
{
	return ref->digest ? same_repository(ref, s) : same_exactly(ref, s);
}

/* The reference's name with another beginning. */
static bool remapped(const struct policy_rule *r, const struct reference *ref,
		     const struct reference *s)
{
	AUTO_FREE char *name = xasprintf("%s/%s", ref->domain, ref->path), *other = NULL;
	AUTO_REFERENCE struct reference mapped = { 0 };
	size_t n = strlen(r->reference);
	struct err lost = { 0 };

	if (strncmp(name, r->reference, n) != 0 || (name[n] && name[n] != '/'))
		return repo_digest_or_exact(ref, s);
	other = xasprintf("%s%s%s%s%s%s", r->signed_prefix, name + n, ref->tag ? ":" : "",
			  ref->tag ?: "", ref->digest ? "@" : "", ref->digest ?: "");
	return reference_parse(other, &mapped, &lost) == 0 && repo_digest_or_exact(&mapped, s);
}

bool policy_identity_fits(const struct policy_rule *r, const struct reference *ref,
			  const char *signed_ref)
{
	AUTO_REFERENCE struct reference s = { 0 }, wanted = { 0 };
	struct err lost = { 0 };

	if (reference_parse(signed_ref, &s, &lost) < 0)
		return false;
	if ((r->identity == IDENTITY_EXACT_REFERENCE || r->identity == IDENTITY_EXACT_REPOSITORY) &&
	    reference_parse(r->reference, &wanted, &lost) < 0)
		return false;
	switch (r->identity) {
	case IDENTITY_EXACT:
		return same_exactly(ref, &s);
	case IDENTITY_REPOSITORY:
		return same_repository(ref, &s);
	case IDENTITY_EXACT_REFERENCE:
		return same_exactly(&wanted, &s);
	case IDENTITY_EXACT_REPOSITORY:
		return same_repository(&wanted, &s);
	case IDENTITY_REMAP:
		return remapped(r, ref, &s);
	case IDENTITY_REPO_DIGEST_OR_EXACT:
		break;
	}
	return repo_digest_or_exact(ref, &s);
}
