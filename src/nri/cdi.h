/* Devices by name (Container Device Interface): vendors' files say what a container needs for one.
 *
 * "VENDOR/CLASS=NAME" is looked for in *.json and *.yaml of the folders, of which a later one goes
 * before an earlier one.  Blocks on the disk. */
#pragma once

#include "base/jsonr.h"

#include <stddef.h>

/* As every other user of these files has them. */
extern const char *const cdi_folders[]; /* ended by NULL: /etc/cdi, /var/run/cdi */

bool cdi_is_name(const char *s);

/* What the files say of these devices, done to a config.json: devices and their rules,
 * environment, mounts, hooks, groups.  ERR_NOT_FOUND `unresolvable CDI devices x`,
 * ERR_ALREADY_EXISTS when two files of a folder have it; spec may be half changed then. */
int cdi_apply(const char *const *folders, const char *const *names, size_t n, json_object *spec,
	      struct err *e);
