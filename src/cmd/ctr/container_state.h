/* Containers as people ask about them: the record, the task, and what the daemon remembers. */
#pragma once

#include "cmd/ctr/logs.h"

#include "base/jsonw.h"

/* What `ctr why` knows: all of it is optional. */
struct past {
	bool has_exit, is_oom;
	uint32_t status;
	const char *exited_at, *oom_at, *error, *error_at; /* RFC 3339, or NULL */
};

/* From the daemon's memory (dir: its folder, "" where there is none) and, where it is still there,
 * from the task (or NULL), which knows better. */
void past_read(struct ctr *ctr, const char *dir, const char *id,
	       const Containerd__V1__Types__Process *task, struct past *ret);

/* "SIGKILL" for 137, NULL for what is no signal's number. */
const char *status_signal(struct arena *a, uint32_t status);

/* "running", "stopped" … */
const char *task_status_word(Containerd__V1__Types__Status s);

/* The age of an RFC 3339 time: "3 minutes"; "" for what is none. */
const char *age_of(struct arena *a, const char *time);

/* Seconds since a process of this machine started; -1 when that cannot be said. */
int64_t process_age(uint32_t pid);

/* The members of a container's object, as `ctr containers info` has them (without Spec). */
void container_put(struct ctr *ctr, struct jsonw *w, const CONTAINERS(Container) * c);
/* "Task": {…}, or null. */
void task_put(struct ctr *ctr, struct jsonw *w, const Containerd__V1__Types__Process *p);
