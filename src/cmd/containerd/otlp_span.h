/* Spans that wait, and the body that carries them. */
#pragma once

#include "loop/trace.h"

#include <stddef.h>

struct span_note; /* a copy of all that the sink was told */
struct span_note *span_note_new(const struct trace_span *s, const struct trace_call *c);
void span_note_free(struct span_note *n);

/* An opentelemetry.proto.trace.v1.TracesData; *ret is the caller's. */
size_t spans_pack(struct span_note *const *v, size_t n, const char *service, uint8_t **ret);
