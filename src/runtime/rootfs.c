#include "runtime/rootfs.h"

#include "os/file.h"
#include "os/syscall.h"
#include "runtime/mount_api.h"
#include "runtime/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int set_propagation(int fd, uint64_t flags, struct err *e)
{
	struct mount_attr attr = { .propagation = flags & ~(uint64_t)MS_REC };
	int r = mount_api_set_attr(fd, flags & MS_REC, &attr);

	if (r < 0)
		return err_sys(e, -r, "set the propagation of the root file system");
	return 0;
}

/* The text of mountinfo, and which of its mounts holds fd. */
static int read_mountinfo(int procfd, int fd, char **ret, uint64_t *ret_id, struct err *e)
{
	struct statx st;
	int r = file_read(procfd, "thread-self/mountinfo", 64 << 20, ret, NULL);

	if (r < 0)
		return err_sys(e, -r, "read mountinfo");
	r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st);
	if (r < 0)
		return err_sys(e, -r, "statx the root file system");
	*ret_id = st.stx_mnt_id;
	return 0;
}

/* The mount point of the mount that holds fd. */
static int find_mount_point(int procfd, int fd, struct str *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	uint64_t id;

	if (read_mountinfo(procfd, fd, &text, &id, e) < 0)
		return -1;
	if (!mountinfo_point(text, id, ret))
		return err_set(e, ERR_INTERNAL,
			       "the mount of the root file system is not in mountinfo");
	return 0;
}

/* pivot_root wants the parent of the new root private; the others stay shared, as was asked. */
static int isolate_parent(const struct launch *l, int fd, struct err *e)
{
	AUTO_STR struct str point = STR_INIT(1 << 16);

	if (find_mount_point(l->end.procfd, fd, &point, e) < 0)
		return -1;
	if (mount(NULL, str_c(&point), NULL, MS_PRIVATE, NULL) < 0)
		return err_sys(e, errno, "make %s private", str_c(&point));
	return 0;
}

static bool is_on_host(const struct plan *p)
{
	return !(p->all_ns & CLONE_NEWNS);
}

int rootfs_mount_id(const char *path, uint64_t *ret, struct err *e)
{
	struct statx st;
	int r = sys_statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st);

	if (r < 0)
		return err_sys(e, -r, "statx %s", path);
	*ret = st.stx_mnt_id;
	return 0;
}

void rootfs_undo(const char *path, uint64_t id_before)
{
	struct err ignored = { 0 }; /* the first error is told */
	uint64_t id;

	/* the old way of mounting puts two there: its stage, and the root on that */
	while (rootfs_mount_id(path, &id, &ignored) == 0 && id != id_before)
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return;
}

static int attach_at_path(const struct launch *l, struct err *e)
{
	const struct plan *p = l->plan;
	AUTO_FD int at = l->sources ? fcntl(l->sources[p->n_mounts], F_DUPFD_CLOEXEC, 3)
				    : open(p->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (at < 0)
		return err_sys(e, errno, "error preparing rootfs: open %s", p->rootfs);
	if ((p->root_propagation & MS_SHARED) && !is_on_host(p) && isolate_parent(l, at, e) < 0)
		return -1;
	int r = mount_api_stage(at);
	if (r < 0)
		return err_sys(e, -r, "error preparing rootfs: make a place for mounts");
	AUTO_FD int tree = mount_api_clone(at, "", AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return err_sys(e, -tree, "error preparing rootfs: copy the mount of %s", p->rootfs);
	/* A clone of a shared mount is shared, whatever happened to "/" since: cut that too. */
	if (set_propagation(tree, p->root_propagation & MS_SHARED ? MS_PRIVATE : MS_SLAVE | MS_REC,
			    e) < 0)
		return -1;
	r = mount_api_move(tree, at);
	if (r < 0)
		return err_sys(e, -r, "error preparing rootfs: mount %s", p->rootfs);
	return TAKE_FD(tree);
}

/* In a new user namespace the path may lead through folders closed to us: the parent copied the
 * mount, and "/" is a place that we can always reach. */
static int attach_over_root(const struct launch *l, struct err *e)
{
	AUTO_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = top < 0 ? -errno : mount_api_move(l->root_tree, top);

	if (r < 0)
		return err_sys(e, -r, "error preparing rootfs: mount %s", l->plan->rootfs);
	int fd = fcntl(l->root_tree, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(e, errno, "error preparing rootfs");
	return fd;
}

int rootfs_attach(const struct launch *l, struct err *e)
{
	uint64_t flags = l->plan->root_propagation;

	/* an unbindable mount could not be copied: it becomes so in the end */
	if (!flags || flags & MS_UNBINDABLE)
		flags = MS_SLAVE | MS_REC;
	if (!is_on_host(l->plan) && mount(NULL, "/", NULL, flags, NULL) < 0)
		return err_sys(e, errno, "error preparing rootfs: set the propagation of /");
	return l->root_tree >= 0 ? attach_over_root(l, e) : attach_at_path(l, e);
}

/* Off with it, or under a cover where a user namespace keeps us from unmounting. */
static int hide_mount(const char *point, struct err *e)
{
	/* never on the host as well */
	if (mount(NULL, point, NULL, MS_SLAVE | MS_REC, NULL) < 0) {
		if (errno == ENOENT || errno == EINVAL) /* gone with what it was mounted on */
			return 0;
		return err_sys(e, errno, "cut off %s", point);
	}
	if (umount2(point, MNT_DETACH) == 0)
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return err_sys(e, errno, "unmount %s", point);
	if (mount("tmpfs", point, "tmpfs", MS_RDONLY, NULL) < 0)
		return err_sys(e, errno, "cover %s", point);
	return 0;
}

/* After a chroot the host's mounts are still in the namespace.  The kernel lets the root of a user
 * namespace mount procfs and sysfs anew where one is there to be seen whole: the container's own
 * has its masks, but the host's has none. */
static int hide_bare_mounts(const struct launch *l, int rootfd, struct err *e)
{
	AUTO_FREE char *text = NULL;
	uint64_t id;

	if (read_mountinfo(l->end.procfd, rootfd, &text, &id, e) < 0)
		return -1;
	for (const char *at = text;;) {
		AUTO_STR struct str point = STR_INIT(1 << 16);

		if (!mountinfo_next_bare(text, id, &at, &point))
			return 0;
		if (hide_mount(str_c(&point), e) < 0)
			return err_wrap(e, "error jailing process inside rootfs");
	}
}

static int enter_by_chroot(const struct launch *l, int rootfd, struct err *e)
{
	if (hide_bare_mounts(l, rootfd, e) < 0)
		return -1;
	/* The mount moves over "/": what it was mounted on is out of reach below it. */
	AUTO_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = top < 0 ? -errno : mount_api_move(rootfd, top);

	if (r < 0)
		return err_sys(e, -r, "error jailing process inside rootfs: move the root mount");
	if (fchdir(rootfd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(e, errno, "error jailing process inside rootfs: chroot");
	return 0;
}

static int enter_on_host(int rootfd, struct err *e)
{
	if (fchdir(rootfd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_sys(e, errno, "error jailing process inside rootfs: chroot");
	return 0;
}

/* Some of the old root's mounts may still be peers of the host's: only where that was asked for. */
static bool may_reach_host(const struct plan *p)
{
	uint64_t flags = p->root_propagation;

	return flags && !(flags & MS_UNBINDABLE) && (flags & MS_SHARED || !(flags & MS_REC));
}

int rootfs_enter(const struct launch *l, int rootfd, struct err *e)
{
	if (is_on_host(l->plan)) /* before all else: what follows moves or unmounts "/" */
		return enter_on_host(rootfd, e);
	if (l->no_pivot)
		return enter_by_chroot(l, rootfd, e);
	AUTO_FD int old =
		may_reach_host(l->plan) ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if ((old < 0 && may_reach_host(l->plan)) || fchdir(rootfd) < 0)
		return err_sys(e, errno, "error jailing process inside rootfs: chdir");
	/* The old root lands on top of the new one, where it is unmounted at once. */
	int r = sys_pivot_root(".", ".");
	if (r < 0)
		return err_sys(e, -r, "error jailing process inside rootfs: pivot_root");
	/* Its unmounting must not reach the host.  By its own fd: "." is the new root, which may
	 * have shared mounts below it that stay so. */
	if (old >= 0 && (fchdir(old) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0))
		return err_sys(e, errno,
			       "error jailing process inside rootfs: cut off the old root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(e, errno,
			       "error jailing process inside rootfs: unmount the old root");
	if (chdir("/") < 0)
		return err_sys(e, errno, "error jailing process inside rootfs: chdir /");
	return 0;
}

int rootfs_finish(const struct launch *l, int rootfd, struct err *e)
{
	const struct plan *p = l->plan;

	if (p->root_propagation & ~(uint64_t)MS_REC &&
	    set_propagation(rootfd, p->root_propagation, e) < 0)
		return -1;
	if (!p->root_readonly)
		return 0;

	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int r = mount_api_set_attr(rootfd, false, &attr);
	if (r < 0)
		return err_sys(e, -r, "make the root file system read-only");
	return 0;
}
