/* How the kernel runs a process: scheduler, I/O priority, processors, memory nodes, personality.
 *
 * Planned from the spec, kept in state.json for exec, done in the child while it has all rights. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "oci/spec.h"

enum { TUNE_SET_BITS = 1024 }; /* as in the original: what a glibc cpu_set_t holds */

/* Processors or nodes. */
struct tune_set {
	const char *text; /* NULL: none was given */
	unsigned long bits[TUNE_SET_BITS / 8 / sizeof(unsigned long)];
};

/* What sched_setattr(2) takes. */
struct tune_scheduler {
	uint32_t policy, priority;
	int32_t nice;
	uint64_t flags, runtime, deadline, period;
};

struct tune {
	bool has_scheduler, has_io_priority, has_personality, has_memory_policy;
	bool has_cpuset; /* linux.resources.cpu.cpus: explains an EPERM */
	struct tune_scheduler scheduler;
	int io_priority; /* class and priority as ioprio_set(2) wants them */
	unsigned long personality;
	int memory_mode; /* with flags */
	struct tune_set memory_nodes;
	struct tune_set initial, final; /* of exec only: before and after it enters the cgroup */
};

/* Lists as "0-3,7"; spaces and empty parts are forgiven.  -EINVAL, or -ERANGE above 1023. */
int tune_parse_set(const char *text, struct tune_set *ret);

/* ERR_INVALID_ARGUMENT in runc's words.  Both only add to *ret. */
int tune_plan_process(const struct oci_process *p, struct tune *ret, struct err *e);
int tune_plan_linux(const struct oci_linux *l, struct tune *ret, struct strv *warnings,
		    struct err *e);

/* For exec: what the process does not say is the container's. */
void tune_inherit(struct tune *t, const struct tune *container);

void tune_print(const struct tune *t, struct str *out); /* lines of plan_print() */

/* tune_json.c: an object in state.json.  tune_is_empty: there is nothing to write. */
struct jsonw;
struct json_object;
bool tune_is_empty(const struct tune *t);
void tune_put(struct jsonw *w, const struct tune *t);
int tune_get(struct arena *a, struct json_object *o, struct tune *ret, struct err *e);

/* tune_apply.c, in the child: all but the processors. */
int tune_apply(const struct tune *t, struct err *e);

/* Processors of a process (0: the caller): those of the set, or NULL for all that its cgroup has,
 * whatever its parent was confined to. -errno. */
int tune_set_processors(int pid, const struct tune_set *s);
int tune_get_processors(struct tune_set *ret);
