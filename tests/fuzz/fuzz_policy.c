/* containers-policy.json, and the payload that a signature is of: first line policy, rest payload.
 */
#include "base/str.h"
#include "image/policy.h"
#include "image/sigstore.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a AUTO_ARENA = arena_new();
	AUTO_FREE struct policy_rules *rules = NEW(struct policy_rules);
	AUTO_REFERENCE struct reference ref = { 0 };
	const uint8_t *line = memchr(data, '\n', n);
	size_t first = line ? (size_t)(line - data) : n;
	AUTO_FREE char *rest =
		xstrndup(line ? (const char *)line + 1 : "", line ? n - first - 1 : 0);
	const struct sigstore_signature s = { rest, strlen(rest), "" };
	AUTO_JSON json_object *root = NULL;
	struct sigstore_claim claim;
	struct err e = { 0 }, other = { 0 };

	if (reference_parse("a.example.com:5000/x/y:1", &ref, &e) == 0 &&
	    policy_parse((const char *)data, first, &root, &e) == 0 &&
	    policy_find(root, a, "docker", &ref, rules, &e) == 0)
		for (size_t i = 0; i < rules->n; i++)
			(void)policy_identity_fits(&rules->v[i], &ref, "a.example.com:5000/x/y");
	(void)sigstore_claim(a, &s, &claim, &other);
	return 0;
}
