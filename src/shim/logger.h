/* A log program (binary:// URI): reads a process's output on fds 3 and 4, says on 5 that it is
 * ready, and is asked to end when the process's streams are closed. */
#pragma once

#include "base/err.h"

struct loop;
struct reaper;
struct logger;

/* uri: "binary:///path?k=v&…" or binary-v2.  *ret_fds are the write ends of its stdout and stderr
 * pipes, the caller's.  ready(e, arg) runs from the loop when it is ready or has failed. */
typedef void logger_ready_fn(const struct err *e, void *arg);
struct logger_config {
	const char *uri, *id, *ns;
	int bundlefd; /* of its container: logger_record.h */
};
int logger_start(struct loop *l, struct reaper *r, const struct logger_config *cfg,
		 logger_ready_fn *ready, void *arg, struct logger **ret, int ret_fds[2],
		 struct err *e);

/* SIGTERM, and SIGKILL some seconds later if it is still there, which the shim's end waits for.
 * ready is not called any more. */
void logger_stop(struct logger *g);
