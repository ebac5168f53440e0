/* Performs mount operations inside the rootfs, by fds only: a target is resolved once, in the
 * root, and what is mounted was made or copied as a detached mount before. */
#pragma once

#include "runtime/launch.h"

/* What is to become read-only late stays writable, and is noted in l->late: mask_protect_mounts().
 */
int mount_all(const struct launch *l, int rootfd, struct err *e);

/* A detached copy of a host's mount, for the parent to make ahead.  Propagation to the host is
 * cut unless is_shared.  No id maps yet: mount_set_idmap(). */
int mount_copy_source(const struct mount_op *op, const char *bundle, bool is_shared, struct err *e);

/* The child's: fills launch->sources, as the user that it was born as. */
int mount_open_sources(const struct launch *l, struct err *e);

/* A new, detached file system. attr: MOUNT_ATTR_…  Negative errno in *ret_errnum on failure. */
int mount_new_fs(const char *fstype, const char *source, const struct fs_param *params,
		 size_t n_params, uint64_t attr, struct err *e);

int mount_attach(int tree, int target, const char *dest, struct err *e);
int mount_set_attr(int tree, uint64_t set, uint64_t clear, bool recursive, const char *dest,
		   struct err *e);

/* Other owners for a detached tree, by the ids of a user namespace. */
int mount_set_idmap(const struct mount_op *op, int tree, int userns, struct err *e);

/* The mount point in the root, made when it is missing: a folder or an empty file. */
int mount_open_target(int rootfd, const char *dest, bool is_dir, struct err *e);

/* May op be mounted on target?  tree: what a bind would show there, else -1. */
int mount_check_target(const struct mount_op *op, int rootfd, int target, int tree, struct err *e);

/* mount_cgroup.c: the container's view of its cgroups. */
int mount_cgroup(const struct launch *l, const struct mount_op *op, int rootfd, struct err *e);
