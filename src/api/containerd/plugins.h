/* The daemon's parts by the names of containerd's plugins, for the start of the daemon. */
#pragma once

#include "engine/engine.h"

/* required_plugins of the configuration: all of them are there and work, or `required plugin
 * [URI...] not included`. */
int plugins_check_required(struct engine *en, struct err *e);
