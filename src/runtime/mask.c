#include "runtime/mask.h"

#include "os/path.h"
#include "os/syscall.h"
#include "runtime/mount.h"
#include "runtime/mount_api.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A copy of /dev/null's mount that is surely /dev/null. */
static int open_null(struct err *e)
{
	AUTO_FD int fd = mount_api_clone(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW);
	struct stat st;

	if (fd < 0)
		return err_sys(e, -fd, "open /dev/null as a mask");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ERR_FAILED_PRECONDITION, "/dev/null is not the null device");
	return TAKE_FD(fd);
}

/* Folders get one and the same empty read-only tmpfs: *shared is where it is attached first. */
static int mask_folder(int target, int *shared, const char *path, struct err *e)
{
	static const struct fs_param params[] = { { "size", "0k" }, { "nr_inodes", "2" } };
	AUTO_FD int tree = -1;

	if (*shared < 0) {
		tree = mount_new_fs("tmpfs", "tmpfs", params, ARRAY_LEN(params), MOUNT_ATTR_RDONLY,
				    e);
	} else {
		tree = mount_api_clone(*shared, "", AT_EMPTY_PATH);
		if (tree < 0)
			return err_sys(e, -tree, "copy the mask of folders");
	}
	if (tree < 0 || mount_attach(tree, target, path, e) < 0)
		return -1;
	if (*shared < 0)
		*shared = TAKE_FD(tree);
	return 0;
}

int mask_paths(const struct launch *l, int rootfd, struct err *e)
{
	AUTO_FD int shared = -1;

	for (size_t i = 0; i < l->plan->masked.n; i++) {
		const char *path = l->plan->masked.v[i];
		AUTO_FD int target = path_open(rootfd, path, O_PATH, 0);
		struct stat st;

		if (target == -ENOENT || target == -ENOTDIR)
			continue;
		if (target < 0)
			return err_sys(e, -target, "can't mask path \"%s\"", path);
		if (fstat(target, &st) < 0)
			return err_sys(e, errno, "can't mask path \"%s\"", path);
		if (S_ISDIR(st.st_mode)) {
			if (mask_folder(target, &shared, path, e) < 0)
				return err_wrap(e, "can't mask path \"%s\"", path);
			continue;
		}
		AUTO_FD int tree = open_null(e);
		if (tree < 0 || mount_attach(tree, target, path, e) < 0)
			return err_wrap(e, "can't mask path \"%s\"", path);
	}
	return 0;
}

int mask_protect_paths(const struct launch *l, int rootfd, struct err *e)
{
	for (size_t i = 0; i < l->plan->readonly.n; i++) {
		const char *path = l->plan->readonly.v[i];
		AUTO_FD int target = path_open(rootfd, path, O_PATH, 0);

		if (target == -ENOENT || target == -ENOTDIR)
			continue;
		if (target < 0)
			return err_sys(e, -target, "can't set %s as readonly", path);
		AUTO_FD int tree = mount_api_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
		if (tree < 0)
			return err_sys(e, -tree, "can't set %s as readonly", path);
		if (mount_set_attr(tree, MOUNT_ATTR_RDONLY, 0, true, path, e) < 0 ||
		    mount_attach(tree, target, path, e) < 0)
			return err_wrap(e, "can't set %s as readonly", path);
	}
	return 0;
}

int mask_protect_mounts(const struct launch *l, struct err *e)
{
	for (size_t i = 0; l->late && i < l->plan->n_mounts; i++)
		if (l->late[i] >= 0 && mount_set_attr(l->late[i], MOUNT_ATTR_RDONLY, 0, false,
						      l->plan->mounts[i].dest, e) < 0)
			return err_wrap(e, "remounting \"%s\" as readonly",
					l->plan->mounts[i].dest);
	return 0;
}
