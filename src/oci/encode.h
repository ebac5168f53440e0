/* The way back of decode.h: a struct as JSON, by the same table. */
#pragma once

#include "base/jsonw.h"
#include "oci/decode.h"

void encode_struct(const struct decode_table *t, const void *in, struct jsonw *w);
