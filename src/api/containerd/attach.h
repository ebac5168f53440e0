/* What the engine leaves to the border, because it needs protobuf: the fields of event payloads
 * for filters, and events for what the collector removes. */
#pragma once

#include "engine/engine.h"

/* Right after engine_open(), before the servers listen. */
void api_attach(struct engine *en);
