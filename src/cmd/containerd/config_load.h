/* config.toml and the flags over it, made into the daemon's struct config. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "base/str.h"
#include "engine/config.h"

#define CONFIG_DEFAULT_FILE "/etc/containerd/config.toml"
#define CONFIG_DROP_INS "/etc/containerd/conf.d/*.toml"

/* NULL members were not given. */
struct config_flags {
	const char *file, *level, *address, *root, *state;
};

/* Everything lives in ret->arena, which the caller frees.  Unknown keys and the like are logged as
 * warnings with file and line; what would be dangerous to guess is an error. */
int config_load(const struct config_flags *flags, struct config *ret, struct err *e);

/* As config.toml, version 3: what `config default` and `config dump` print. */
/* The file as TOML of version 3, by the new names of plugins and keys; imports are not followed. */
int config_migrate(const char *path, struct str *out, struct err *e);

/* What the keys and OTEL_* of the environment come to; the latter win, as in Go's library. */
int config_tracing_finish(struct config *c, struct err *e);

/* Version 1 named plugins by id alone: gives them the names of version 2. */
void config_rename_v1(json_object *top);

void config_print(const struct config *cfg, struct str *out);
