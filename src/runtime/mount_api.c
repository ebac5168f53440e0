#include "runtime/mount_api.h"

#include "os/syscall.h"

#include <errno.h>

/* Of this process; see the header. */
static bool is_old;

/* Arguments that no kernel takes: one that has the call and lets us use it says EINVAL. */
static bool is_usable(int answer)
{
	return answer != -ENOSYS && answer != -EPERM;
}

bool mount_api_is_there(void)
{
	return is_usable(sys_open_tree(-1, "", ~0U)) &&
	       is_usable(sys_move_mount(-1, "", -1, "", ~0U)) &&
	       is_usable(sys_mount_setattr(-1, "", ~0U, NULL)) &&
	       is_usable(sys_fsopen(NULL, ~0U)) &&
	       is_usable(sys_fsconfig(-1, ~0U, NULL, NULL, 0)) &&
	       is_usable(sys_fsmount(-1, ~0U, ~0U));
}

int mount_api_begin(int procfd)
{
	is_old = !mount_api_is_there();
	return is_old ? mount_old_begin(procfd) : 0;
}

bool mount_api_is_old(void)
{
	return is_old;
}

int mount_api_stage(int at)
{
	return is_old ? mount_old_stage(at) : 0;
}

int mount_api_clone(int dirfd, const char *path, unsigned flags)
{
	if (is_old)
		return mount_old_clone(dirfd, path, flags);
	return sys_open_tree(dirfd, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

int mount_api_move(int tree, int target)
{
	if (is_old)
		return mount_old_move(tree, target);
	return sys_move_mount(tree, "", target, "",
			      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mount_api_bind(int from, int target)
{
	if (is_old)
		return mount_old_bind(from, target);
	AUTO_FD int tree = mount_api_clone(from, "", AT_EMPTY_PATH);
	return tree < 0 ? tree : mount_api_move(tree, target);
}

int mount_api_set_attr(int fd, bool recursive, struct mount_attr *attr)
{
	if (is_old)
		return mount_old_set_attr(fd, recursive, attr);
	return sys_mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), attr);
}
