/* What the files of cri/ share. */
#pragma once

#include "cri/cri.h"
#include "engine/engine.h"

#define CRI_RUNTIME "runc" /* the one that is there without any configuration */

struct cri {
	struct engine *en;
};
