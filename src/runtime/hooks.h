/* Runs hooks: programs of the host's operator, with the container's state on stdin. */
#pragma once

#include "oci/spec.h"

/* In order; the first failure ends it.  kind is for the sentence ("prestart").  The environment is
 * what the hook has and nothing else.  dir: where they start (the bundle, which may be gone by
 * then: no error); NULL: where we are. */
int hooks_run(const struct oci_hook_list *l, const char *kind, const char *state_json,
	      const char *dir, struct err *e);

/* One of them. */
int hooks_run_one(const struct oci_hook_list *l, size_t i, const char *kind, const char *state_json,
		  const char *dir, struct err *e);
