/* One mount as a snapshotter describes it, made with mount(2): flags by their names, "loop" for a
 * file behind a loop device, and lower layers whose names are longer than the page that the kernel
 * takes. Any thread. */
#pragma once

#include "base/err.h"
#include "store/mount.h"

/* target is absolute. */
int mount_do(const struct mount *m, const char *target, struct err *e);

/* Everything that is mounted on target itself.  Nothing being there is fine. */
int mount_undo(const char *target, struct err *e);
