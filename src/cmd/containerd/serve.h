/* The daemon's life: open everything, serve until a signal, close in reverse. */
#pragma once

#include "base/err.h"
#include "engine/config.h"

/* Returns when the daemon has been told to end; -1 when it could not start. */
int serve(const struct config *cfg, struct err *e);
