/* A trace log (loop/trace.h) for people: Chrome's and Perfetto's JSON, and a picture. */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>

struct trace_record {
	const char *who, *step;
	uint64_t begin, end;
	unsigned lane; /* of its who: records of one lane follow or enclose each other */
};

/* In order of their beginning, the enclosing one first; what is no record is left out.  In a. */
size_t trace_text_parse(const char *log, struct arena *a, struct trace_record **ret);

/* {"traceEvents":[…]}: a process for each who, a thread for each lane. */
void trace_text_json(const struct trace_record *v, size_t n, struct str *out);

/* One line a record, a bar where it was. */
void trace_text_svg(const struct trace_record *v, size_t n, const char *title, struct str *out);
