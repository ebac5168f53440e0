/* `containerd oci-hook -- COMMAND ARG...`: runs COMMAND as an OCI hook, with {{id}} and the like in
 * its arguments replaced by what the state on stdin says. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

struct hook_facts {
	const char *id, *ns, *bundle, *rootfs, *pid;
};

/* The arguments with their templates filled in; ERR_INVALID_ARGUMENT for a name that is none. */
int hook_fill(struct arena *a, const struct hook_facts *f, const char *const *argv, char ***ret,
	      struct err *e);

/* Becomes the command; returns only when that fails. */
int hook_exec(const char *const *argv, struct err *e);
