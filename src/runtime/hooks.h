/* Runs hooks: programs of the host's operator, with the container's state on stdin. */
#pragma once

#include "oci/spec.h"
#include "os/steps.h"

/* Which hooks they are, for sentences ("prestart"), and who notes which of them runs. */
struct hooks_at {
	const char *kind;
	struct steps *steps; /* or NULL */
	enum steps_who who;
};
#define HOOKS_AT(kind, steps, who) ((struct hooks_at){ kind, steps, who })

/* In order; the first failure ends it.  The environment is
 * what the hook has and nothing else.  dir: where they start (the bundle, which may be gone by
 * then: no error); NULL: where we are. */
int hooks_run(const struct oci_hook_list *l, struct hooks_at at, const char *state_json,
	      const char *dir, struct err *e);

/* One of them. */
int hooks_run_one(const struct oci_hook_list *l, size_t i, struct hooks_at at,
		  const char *state_json, const char *dir, struct err *e);
