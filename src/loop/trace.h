/* Traces: which request a thread works for, and a note of each call's start and end.
 *
 * A span is one call, ours or of ours; its parent came with the request (W3C's traceparent) or is
 * the span that the thread is in.  Handlers run from start to end on one thread, so the current
 * span is the thread's: it would otherwise be an argument of every function between a door and a
 * shim, and it is none of their business.
 *
 * Without a sink, which is set before the first thread or never, all of this is one test. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_id {
	uint8_t trace[16], span[8];
	bool is_set, is_sampled;
};

struct trace_span {
	struct trace_id id; /* id.is_set: it has begun */
	uint8_t parent[8]; /* zeroes: a root */
	uint64_t start; /* CLOCK_REALTIME, ns */
};

/* Numbers of OpenTelemetry. */
enum trace_kind { TRACE_SERVER = 2, TRACE_CLIENT = 3 };

struct trace_call {
	enum trace_kind kind;
	const char *system, *service,
		*method; /* "grpc", "containerd.services.version.v1.Version", … */
	const char *ns; /* of containerd, or NULL */
	unsigned code; /* 0: OK; else gRPC's number */
	const char *error; /* a sentence, or NULL */
	uint64_t end;
};

/* Any thread; must not block.  Borrowed for the call. */
typedef void trace_sink(const struct trace_span *s, const struct trace_call *c, void *arg);

/* ratio: the share of traces without a parent that are kept.  NULL ends tracing, when no thread is
 * left. */
void trace_set_sink(trace_sink *fn, void *arg, double ratio);
bool trace_is_on(void);

/* parent: NULL or unset for a root. */
void trace_begin(struct trace_span *s, const struct trace_id *parent);
void trace_end(const struct trace_span *s, struct trace_call *c); /* sets c->end */

/* Where a call's time goes, for the one who asked for that with it (TRACE_ASK among its metadata):
 * records "WHO|STEP|BEGIN|END;" of printable text, times in ns since 1970.  The thread that serves
 * the call has a log to add to; without one, adding costs a test.  What other processes say of
 * their part is merged as it is, bounded and printable. */
#define TRACE_ASK "casco-trace"
enum { TRACE_LOG_MAX = 24 << 10 };
struct str;
void trace_log_enter(struct str *log, const char *who); /* NULL leaves; both borrowed */
struct str *trace_log(void); /* NULL: nobody asked */
void trace_log_add(const char *step, uint64_t begin, uint64_t end); /* to it, if there is one */
void trace_log_put(struct str *log, const char *who, const char *step, uint64_t begin,
		   uint64_t end);
void trace_log_merge(struct str *log, const char *text);
uint64_t trace_now(void);

/* A step of this thread that ends with its scope. */
struct trace_step {
	const char *name;
	uint64_t begin; /* 0: nobody asked */
};
struct trace_step trace_step_begin(const char *name);
void trace_step_end(struct trace_step *s);
#define TRACE_STEP(name) \
	CLEANUP(trace_step_end) UNUSED struct trace_step trace_step_ = trace_step_begin(name)

/* The span this thread works in: NULL for none. */
const struct trace_id *trace_current(void);
void trace_enter(const struct trace_id *id); /* NULL leaves */

/* "00-TRACE-SPAN-FLAGS"; NULL and what is none leave *ret unset. */
enum { TRACE_PARENT = 56 };
void trace_parse(const char *traceparent, struct trace_id *ret);
void trace_print(const struct trace_id *id, char out[TRACE_PARENT]);
