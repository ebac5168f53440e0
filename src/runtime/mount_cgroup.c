#include "runtime/mount.h"

#include "os/path.h"
#include "os/syscall.h"
#include "runtime/mount_api.h"

#include <errno.h>
#include <string.h>

/* A copy of one folder of the host's cgroup tree, attached. */
static int bind_cgroup(const struct mount_op *op, const char *from, int target, const char *dest,
		       struct err *e)
{
	AUTO_FD int tree = mount_api_clone(AT_FDCWD, from, AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return err_sys(e, -tree, "open cgroup %s", from);
	if (mount_set_attr(tree, op->set, 0, false, dest, e) < 0)
		return -1;
	return mount_attach(tree, target, dest, e);
}

static int mount_v2(const struct launch *l, const struct mount_op *op, int rootfd, struct err *e)
{
	struct err first = { 0 };
	AUTO_FD int target = mount_open_target(rootfd, op->dest, true, e);

	if (target < 0 || mount_check_target(op, rootfd, target, -1, e) < 0)
		return -1;
	AUTO_FD int tree =
		mount_new_fs("cgroup2", op->source, op->params, op->n_params, op->set, &first);
	if (tree >= 0)
		return mount_attach(tree, target, op->dest, e);
	/* In a user namespace only the owner of the cgroup namespace may mount it. */
	if (first.errnum != EPERM && first.errnum != EBUSY)
		return err_copy(e, &first);
	const char *from = "/sys/fs/cgroup";
	if ((l->plan->all_ns & CLONE_NEWCGROUP) && l->cgroup_paths.n)
		from = l->cgroup_paths.v[0].value;
	return bind_cgroup(op, from, target, op->dest, e);
}

/* Of "/sys/fs/cgroup/cpu,cpuacct/a/b", the hierarchy's name: what a container looks for. */
static const char *hierarchy_name(struct arena *a, const char *path)
{
	static const char top[] = "/sys/fs/cgroup/";

	if (!str_starts(path, top))
		return NULL;
	path += sizeof top - 1;
	return arena_strndup(a, path, strcspn(path, "/"));
}

/* A tmpfs with the container's own folder of each hierarchy in it.  Controllers that are mounted
 * together get links, as on the host. */
static int mount_v1(const struct launch *l, const struct mount_op *op, int rootfd, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const struct fs_param params[] = { { "mode", "755" }, { "context", l->plan->mount_label } };
	size_t n_params = l->plan->mount_label ? 2 : 1;
	AUTO_FD int target = mount_open_target(rootfd, op->dest, true, e);

	if (target < 0 || mount_check_target(op, rootfd, target, -1, e) < 0)
		return -1;

	AUTO_FD int top = mount_new_fs("tmpfs", "tmpfs", params, n_params,
				       op->set & ~(uint64_t)MOUNT_ATTR_RDONLY, e);
	if (top < 0 || mount_attach(top, target, op->dest, e) < 0)
		return -1;
	for (size_t i = 0; i < l->cgroup_paths.n; i++) {
		const struct oci_pair *p = &l->cgroup_paths.v[i];
		const char *name = hierarchy_name(a, p->value);

		if (!name || !*name)
			continue;
		if (faccessat(top, name, F_OK, 0) < 0) {
			const char *dest = arena_printf(a, "/%s", name);
			AUTO_FD int folder = mount_open_target(top, dest, true, e);

			if (folder < 0 || bind_cgroup(op, p->value, folder, dest, e) < 0)
				return -1;
		}
		if (*p->key && !str_starts(p->key, "name=") && strcmp(p->key, name) != 0 &&
		    symlinkat(name, top, p->key) < 0 && errno != EEXIST)
			return err_sys(e, errno, "make link %s to cgroup hierarchy %s", p->key,
				       name);
	}
	return mount_set_attr(top, op->set & MOUNT_ATTR_RDONLY, 0, false, op->dest, e);
}

int mount_cgroup(const struct launch *l, const struct mount_op *op, int rootfd, struct err *e)
{
	if (l->cgroup_layout == CGROUP_V2)
		return mount_v2(l, op, rootfd, e);
	return mount_v1(l, op, rootfd, e);
}
