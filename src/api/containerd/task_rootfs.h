/* The mounts of a task's rootfs that only the daemon can make (store/activation.h): an activation
 * by the task's name, which goes with the task or, when nobody deletes that, with the container. */
#pragma once

#include "engine/engine.h"
#include "store/snapshot.h"

/* *m becomes what is left for the shim.  Nothing happens where nothing is for the daemon. */
int task_rootfs_activate(const struct call *call, const char *id, struct mounts *m, struct err *e);

/* None being there is fine; a failure is logged, and tried again by the collection. */
void task_rootfs_deactivate(const struct call *call, const char *id);
