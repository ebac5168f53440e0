/* Runs hooks: programs of the host's operator, with the container's state on stdin. */
#pragma once

#include "oci/spec.h"

/* In order; the first failure ends it.  kind is for the sentence ("prestart").  The environment is
 * the hook's own and nothing else. */
int hooks_run(const struct oci_hook_list *l, const char *kind, const char *state_json,
	      struct err *e);
