/* One start of one plugin. */
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
