/* Between NRI's messages and the JSON of the runtime spec: the same things under other names.
 *
 * NRI repeats the runtime spec in protobuf, with messages of one `value` for what may be absent.
 * One walk over a message's descriptor serves all of them: members get their names in camel case,
 * such messages become their value, maps become objects, enumerations their names. */
#pragma once

#include "base/jsonr.h"
#include "base/mem.h"

#include <protobuf-c/protobuf-c.h>

/* What is set, as an object; the caller's. Empty strings, lists, maps and zero enumerations are
 * left out, numbers never. */
json_object *map_to_json(const ProtobufCMessage *m);

/* A message of that type from the members of o that it knows; all of it in the arena. Values of
 * another type than the message's are left out: plugins get what can be told to them. */
ProtobufCMessage *map_from_json(const ProtobufCMessageDescriptor *d, json_object *o,
				struct arena *a);
