/* What this runtime knows, as the spec's features document (features.md): engines read it before
 * they write a config.json.  Everything comes from the tables that the parsers use, so that it
 * can't promise what they would refuse. */
#pragma once

#include "base/str.h"

void features_print(struct str *out);
