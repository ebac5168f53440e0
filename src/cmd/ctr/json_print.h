/* Messages and documents as JSON for people. */
#pragma once

#include "base/jsonr.h"
#include "base/jsonw.h"
#include "cmd/ctr/ctr.h"

/* A parsed document as it is, numbers exact. NULL writes null. */
void json_value(struct jsonw *w, json_object *o);

/* {"k":"v"}, or null when there are none. */
void json_labels(struct jsonw *w, const struct labels *l);

/* Any message, as Go's encoding of the generated struct shows it: field names of the .proto,
 * empty fields left out, times as RFC 3339, bytes as base64. */
void json_message(struct jsonw *w, const ProtobufCMessage *m);
