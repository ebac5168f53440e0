/* One start of one plugin: a program of the operator's, by its path, in a process group of its own.
 *
 * Blocks until it has ended.  The group is killed when env->timeout is over
 * (ERR_DEADLINE_EXCEEDED), when the caller cancels, or when it writes more than 1 MiB
 * (ERR_RESOURCE_EXHAUSTED); a plugin's own error is told with its details and its path. */
#pragma once

#include "net/cni.h"

struct plugin_run {
	const char *command; /* "ADD" … */
	const char *type;
	const struct cni_attachment *at; /* NULL: STATUS, GC, VERSION */
	const char *config; /* its stdin */
	struct cancel *cancel; /* or NULL */
};

/* The plugin's program; ERR_NOT_FOUND. The caller frees. */
int plugin_find(const struct cni_env *env, const char *type, char **ret, struct err *e);

/* *ret: what it wrote, the caller's. */
int plugin_run(const struct cni_env *env, const struct plugin_run *run, char **ret, size_t *ret_n,
	       struct err *e);
