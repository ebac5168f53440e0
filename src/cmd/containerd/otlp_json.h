/* Spans as OTLP's JSON: protobuf's mapping, but ids in hexadecimal. */
#pragma once

#include "base/str.h"

enum { OTLP_JSON_MAX = 64 << 20 };

/* spans: an encoded TracesData of our own. */
void otlp_json(const void *spans, size_t n, struct str *out);
