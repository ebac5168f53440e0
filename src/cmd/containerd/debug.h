/* What the daemon tells about itself: metrics, variables, and its threads when asked by SIGUSR1. */
#pragma once

#include "cmd/containerd/requests.h"
#include "engine/engine.h"

struct debug {
	struct engine *engine;
	struct requests *requests;
	uint64_t started; /* CLOCK_MONOTONIC ns */
};

/* http_fn's of [metrics] address (/v1/metrics) and of the debug socket (/debug/vars,
 * /debug/threads, and the metrics). arg is the struct debug. */
const char *debug_metrics_page(void *arg, const char *path, struct str *out);
const char *debug_page(void *arg, const char *path, struct str *out);

/* The threads into a new file in folder, 0600; what an attacker put there before is no target. */
void debug_dump(const char *folder);
