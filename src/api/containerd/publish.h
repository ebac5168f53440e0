/* An event of the daemon's own, from the API's border, where its protobuf type is known. */
#pragma once

#include "engine/engine.h"

#include <protobuf-c/protobuf-c.h>

/* After the mutation it tells of: an event that cannot go out changes nothing about that, so
 * failing is only logged. */
void api_publish(const struct call *call, const char *topic, const ProtobufCMessage *msg);
