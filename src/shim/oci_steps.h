/* What a call to the runtime spent its time with, in a sentence and in a trace. */
#pragma once

#include "base/str.h"
#include "os/steps.h"

/* "runtime: plan 0.2 ms, createRuntime hook #0 /bin/x 9.1 s and not over; init: …".  Nothing when
 * there are no steps: another's runtime makes none. */
void oci_steps_say(const struct steps *s, uint64_t now, struct str *out);

/* The records of loop/trace.h; what is not over ends now. */
void oci_steps_log(const struct steps *s, uint64_t now, struct str *log);
