/* What the operator lets no plugin do: containerd's default validator of NRI. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"

#include <stddef.h>

/* [plugins.'io.containerd.nri.v1.nri'.default_validator] */
struct nri_rules {
	bool enable;
	bool reject_hooks, reject_namespaces;
	/* A profile in place of the one that the container had: of whatever origin, or of none. */
	bool reject_runtime_default_seccomp, reject_custom_seccomp, reject_unconfined_seccomp;
	const char *const *required; /* plugins without whom no container is created */
	size_t n_required;
	const char *tolerate; /* annotation "true" of a container that may do without them, or "" */
};

/* want is a ContainerAdjustment as JSON, spec what it is to be done to.  ERR_PERMISSION_DENIED. */
int validate_adjustment(const struct nri_rules *rules, const char *plugin, json_object *want,
			json_object *spec, struct err *e);

/* is_there(arg, name) says whether a plugin of that name is connected. */
int validate_required(const struct nri_rules *rules, json_object *spec,
		      bool (*is_there)(void *arg, const char *name), void *arg, struct err *e);
