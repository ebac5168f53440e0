/* /proc/PID/mountinfo: lines "ID PARENT MAJ:MIN ROOT POINT …" of the kernel's, with names in them
 * that anybody chose. */
#pragma once

#include "base/str.h"

#include <stdbool.h>

/* The mount point of the mount with this id, "\040" and its like undone. */
bool mountinfo_point(const char *text, uint64_t id, struct str *ret);

/* The next whole procfs or sysfs, from *at on, that is not the mount `except` nor below it: its
 * point.  *at begins as the text; false at its end. */
bool mountinfo_next_bare(const char *text, uint64_t except, const char **at, struct str *ret);
