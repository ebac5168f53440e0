/* What of a checkpoint would make the host run or open something that the checkpoint names. */
#pragma once

#include "google/protobuf/any.pb-c.h"

#include <stdbool.h>

enum { RESTORE_WHY = 256 };

/* why: a part of a sentence, "has hooks".  What cannot be read names something, too.  On false spec
 * is what was read of it. */
bool restore_names_programs(const char *runtime, Google__Protobuf__Any *spec,
			    const Google__Protobuf__Any *options, char why[RESTORE_WHY]);
