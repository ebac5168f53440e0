#include "nri/validate.h"

#include "base/str.h"
#include "nri/member.h"

#include <string.h>

static int reject(const char *plugin, const char *what, struct err *e)
{
	return err_set(e, ERR_PERMISSION_DENIED,
		       "validation error: plugin \"%.64s\" attempted restricted %s", plugin, what);
}

/* Whether a profile is the runtime's own or somebody's cannot be told from a spec: either rule
 * keeps what is there. */
static bool keeps_seccomp(const struct nri_rules *r, json_object *spec)
{
	if (member_get(member_get(spec, "linux"), "seccomp"))
		return r->reject_runtime_default_seccomp || r->reject_custom_seccomp;
	return r->reject_unconfined_seccomp;
}

int validate_adjustment(const struct nri_rules *rules, const char *plugin, json_object *want,
			json_object *spec, struct err *e)
{
	json_object *linux = member_get(want, "linux");

	if (!rules->enable)
		return 0;
	if (rules->reject_hooks && member_get(want, "hooks"))
		return reject(plugin, "OCI hook injection", e);
	if (rules->reject_namespaces && member_get(linux, "namespaces"))
		return reject(plugin, "namespace adjustment", e);
	if (member_get(linux, "seccompPolicy") && keeps_seccomp(rules, spec))
		return reject(plugin, "seccomp policy adjustment", e);
	return 0;
}

int validate_required(const struct nri_rules *rules, json_object *spec,
		      bool (*is_there)(void *arg, const char *name), void *arg, struct err *e)
{
	AUTO_STR struct str missing = STR_INIT(600);
	json_object *annotations = member_get(spec, "annotations");

	if (!rules->enable || !rules->n_required)
		return 0;
	if (rules->tolerate && *rules->tolerate &&
	    !strcmp(member_text(annotations, rules->tolerate), "true"))
		return 0;
	for (size_t i = 0; i < rules->n_required; i++)
		if (!is_there(arg, rules->required[i]))
			str_addf(&missing, "%s%s", missing.len ? " " : "", rules->required[i]);
	return missing.len || missing.over
		       ? err_set(e, ERR_PERMISSION_DENIED,
				 "validation error: required plugins [%s] not present",
				 str_c(&missing))
		       : 0;
}
