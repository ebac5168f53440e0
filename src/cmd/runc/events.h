/* The lines that `runc events` prints: fields and order are runc's, which readers know. */
#pragma once

#include "base/str.h"
#include "cgroup/stat.h"

void event_stats(const char *id, const struct cgroup_stat *s, struct str *line);
void event_oom(const char *id, struct str *line);

/* "300ms", "1h15m", "-1.5s": as Go reads durations.  *ret: nanoseconds without the sign. */
bool duration_parse(const char *text, uint64_t *ret, bool *ret_negative);
