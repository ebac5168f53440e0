/* The kernel's calls for detached mounts (Linux 5.2, mount_setattr 5.12), and what stands in for
 * them where one is missing (ENOSYS) or forbidden (EPERM, the filter of an outer container).
 *
 * The old way keeps the rule "by fd only".  mount(2) takes strings, so it is given the names that
 * our own fds have in /proc/self/fd of the host's procfs, relative to a checked fd of that folder:
 * no path of the container's, nor of its /proc, is ever looked up.  A "detached" mount is made in
 * a private tmpfs that nobody else can name, gets its attributes there, and is moved to its target
 * as a whole: as with the new calls, nobody sees it before it is finished.
 *
 * Which way is a property of the process (as its working directory is), decided once by
 * mount_api_begin(); a forked child begins anew.  All return -errno on failure. */
#pragma once

#include "runtime/plan.h"

#include <linux/mount.h>
#include <stdbool.h>
#include <stdint.h>

/* Can this process, with the rights it has now, make detached mounts? */
bool mount_api_is_there(void);

/* Before the first of the calls below.  procfd: the host's /proc, checked. */
int mount_api_begin(int procfd);
bool mount_api_is_old(void);

/* The old way needs a place for what is not attached yet: a folder of a mount that propagates to
 * nobody.  A no-op with the new calls. */
int mount_api_stage(int at);

/* open_tree(2) with OPEN_TREE_CLONE.  flags: AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW. */
int mount_api_clone(int dirfd, const char *path, unsigned flags);

/* move_mount(2) of a tree to the folder or file of an fd. */
int mount_api_move(int tree, int target);

/* A copy of one mount at a target, with the attributes it has.  Works after the root was changed,
 * when the old way has no place for detached mounts any more. */
int mount_api_bind(int from, int target);

/* mount_setattr(2) of an fd.  MOUNT_ATTR_IDMAP has no old way: -ENOSYS. */
int mount_api_set_attr(int fd, bool recursive, struct mount_attr *attr);

/* mount_old.c, for mount_api.c only. */
int mount_old_begin(int procfd);
int mount_old_stage(int at);
int mount_old_clone(int dirfd, const char *path, unsigned flags);
int mount_old_move(int tree, int target);
int mount_old_bind(int from, int target);
int mount_old_set_attr(int fd, bool recursive, const struct mount_attr *attr);

/* A new file system, detached (what fsopen to fsmount do); for mount_new_fs() only. */
int mount_old_new(const char *fstype, const char *source, const struct fs_param *params,
		  size_t n_params, uint64_t attr);

/* The MS_ flags of attributes; the text of options, and the flags among them. */
unsigned long mount_old_flags(uint64_t attr);
int mount_old_data(const struct fs_param *params, size_t n, struct str *ret, unsigned long *flags);

/* A new file system at a folder's fd by one mount(2).  False: not so, and nothing has changed; the
 * other calls can do more, and can say what is wrong.  cwd: the working directory, which stays it.
 */
bool mount_direct(const char *fstype, const char *source, const struct fs_param *params,
		  size_t n_params, uint64_t attr, int target, int cwd);
