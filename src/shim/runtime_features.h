/* The features document of a shim's runtime, for engines that ask by `-info`. */
#pragma once

#include "base/str.h"
#include "shim/options.h"

/* What containerd calls the document, which is JSON. */
#define SHIM_FEATURES_URL "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

/* own_binary: the runc beside this shim, or "". */
int shim_features(const struct shim_options *o, const char *own_binary, struct str *out,
		  struct err *e);
