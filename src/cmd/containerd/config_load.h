/* config.toml and the flags over it, made into the daemon's struct config. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "engine/config.h"

#define CONFIG_DEFAULT_FILE "/etc/containerd/config.toml"

/* NULL members were not given. */
struct config_flags {
	const char *file, *level, *address, *root, *state;
};

/* Everything lives in ret->arena, which the caller frees.  Unknown keys and the like are logged as
 * warnings with file and line; what would be dangerous to guess is an error. */
int config_load(const struct config_flags *flags, struct config *ret, struct err *e);

/* As config.toml, version 3: what `config default` and `config dump` print. */
void config_print(const struct config *cfg, struct str *out);
