/* What the daemon's process is before it serves: limits, its place in line for the OOM killer, and
 * where its temporary files go. */
#pragma once

#include "base/err.h"
#include "engine/config.h"

int process_setup(const struct config *cfg, struct err *e);
