/* The containers' resource figures as Prometheus text, by the names that containerd gives them. */
#pragma once

#include "base/str.h"
#include "engine/engine.h"

#include <protobuf-c/protobuf-c.h>

/* Asks the shims of all namespaces; a task without an answer is left out.  Pool threads. */
void api_metrics(struct engine *en, struct str *out);

/* One task's message (cgroups v1 or v2), for tests: labels is `container_id="a",namespace="b"`. */
struct api_metric {
	const char *name, *labels;
	uint64_t value;
};

struct api_metric_list {
	struct arena *arena;
	struct api_metric *v;
	size_t n, cap;
};

void api_metrics_add(struct api_metric_list *l, const ProtobufCMessage *m, const char *labels);
void api_metrics_print(struct api_metric_list *l, struct str *out); /* by name; frees l->v */
