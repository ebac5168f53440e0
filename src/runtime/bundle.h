/* The folder that a container is made of; runtime_load_spec() reads its config.json. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

/* Absolute and without links, in the arena; NULL: an error. */
const char *bundle_path(struct arena *a, const char *bundle, struct err *e);
