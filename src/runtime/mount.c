#include "runtime/mount.h"

#include "os/path.h"
#include "os/syscall.h"
#include "runtime/copy_up.h"
#include "runtime/mount_api.h"
#include "runtime/stage.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

/* What the kernel wrote about a failed fsopen operation, behind its "e " mark; "" without. */
static void fs_message(int fsfd, char *buf, size_t n)
{
	ssize_t r = read(fsfd, buf, n - 1);

	buf[0] = r > 2 ? ':' : 0;
	if (r <= 2)
		return;
	buf[1] = ' ';
	buf[r] = 0; /* "e text" → ": text" */
	buf[strcspn(buf, "\n")] = 0;
}

int mount_new_fs(const char *fstype, const char *source, const struct fs_param *params,
		 size_t n_params, uint64_t attr, struct err *e)
{
	if (mount_api_is_old()) {
		int tree = mount_old_new(fstype, source, params, n_params, attr);

		return tree < 0 ? err_sys(e, -tree, "make a file system of type %s", fstype) : tree;
	}
	AUTO_FD int fs = sys_fsopen(fstype, FSOPEN_CLOEXEC);
	char why[256];
	int r = 0;

	if (fs < 0)
		return err_sys(e, -fs, "open file system type %s", fstype);
	if (source && *source) {
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0);
		if (r < 0) {
			fs_message(fs, why, sizeof why);
			return err_sys(e, -r, "set source %s of %s%s", source, fstype, why);
		}
	}
	for (size_t i = 0; i < n_params; i++) {
		r = params[i].value ? sys_fsconfig(fs, FSCONFIG_SET_STRING, params[i].key,
						   params[i].value, 0)
				    : sys_fsconfig(fs, FSCONFIG_SET_FLAG, params[i].key, NULL, 0);
		if (r < 0) {
			fs_message(fs, why, sizeof why);
			return err_sys(e, -r, "set option %s of %s%s", params[i].key, fstype, why);
		}
	}
	r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r < 0) {
		fs_message(fs, why, sizeof why);
		return err_sys(e, -r, "make a file system of type %s%s", fstype, why);
	}
	r = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
	if (r < 0)
		return err_sys(e, -r, "make a mount of type %s", fstype);
	return r;
}

static bool is_folder(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

int mount_attach(int tree, int target, const char *dest, struct err *e)
{
	int r = mount_api_move(tree, target);

	if ((r == -EINVAL || r == -ENOTDIR) && is_folder(tree) != is_folder(target))
		return err_sys(e, ENOTDIR, "attach the mount at %s, a %s on a %s", dest,
			       is_folder(tree) ? "directory" : "file",
			       is_folder(target) ? "directory" : "file");
	if (r < 0)
		return err_sys(e, -r, "attach the mount at %s", dest);
	return 0;
}

int mount_set_attr(int tree, uint64_t set, uint64_t clear, bool recursive, const char *dest,
		   struct err *e)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear & ~set };

	if (clear & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	if (!attr.attr_set && !attr.attr_clr)
		return 0;
	int r = mount_api_set_attr(tree, recursive, &attr);
	if (r < 0)
		return err_sys(e, -r, "set mount attributes of %s", dest);
	return 0;
}

static int set_propagation(int tree, uint64_t propagation, bool recursive, const char *dest,
			   struct err *e)
{
	struct mount_attr attr = { .propagation = propagation };

	if (!propagation)
		return 0;
	int r = mount_api_set_attr(tree, recursive, &attr);
	if (r < 0)
		return err_sys(e, -r, "set the propagation of %s", dest);
	return 0;
}

int mount_open_target(int rootfd, const char *dest, bool is_dir, struct err *e)
{
	int fd = is_dir ? path_mkdirs(rootfd, dest, 0755) : path_open(rootfd, dest, O_PATH, 0);

	if (fd == -ENOENT && !is_dir)
		fd = path_mkfile(rootfd, dest, 0755);
	if (fd < 0)
		return err_sys(e, -fd, "open mount point %s", dest);
	return fd;
}

static bool is_on(int fd, long magic)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (long)fs.f_type == magic; /* of no sign in musl */
}

/* A link in place of /proc or /sys would put them elsewhere, and leave our checks of "/proc/…"
 * without meaning. */
int mount_check_target(const struct mount_op *op, int rootfd, int target, int tree, struct err *e)
{
	bool is_top = strcmp(op->dest, "/proc") == 0 || strcmp(op->dest, "/sys") == 0;
	struct stat st;

	if (is_top &&
	    (fstatat(rootfd, op->dest + 1, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "filesystem \"%s\" must be mounted on ordinary directory",
			       op->fstype && *op->fstype ? op->fstype : op->dest + 1);
	if (strcmp(op->dest, "/proc") == 0 && op->kind == MOUNT_BIND &&
	    !is_on(tree, PROC_SUPER_MAGIC))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "\"%s\" cannot be mounted because it is not of type proc", op->dest);
	if (is_on(target, PROC_SUPER_MAGIC) && !op->may_cover_proc)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "\"%s\" cannot be mounted because it is inside /proc", op->dest);
	return 0;
}

int mount_copy_source(const struct mount_op *op, const char *bundle, bool is_shared, struct err *e)
{
	AUTO_FD int dir = -1;
	const char *source = op->source;

	if (!source)
		BUG("a bind without a source was planned");
	if (source[0] != '/') {
		dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_sys(e, errno, "open bundle %s", bundle);
	}
	AUTO_FD int tree = mount_api_clone(dir >= 0 ? dir : AT_FDCWD, source,
					   op->recursive ? AT_RECURSIVE : 0);
	if (tree < 0)
		return err_sys(e, -tree, "stat %s", source);
	if (!is_shared && set_propagation(tree, MS_SLAVE, true, op->dest, e) < 0)
		return -1;
	return TAKE_FD(tree);
}

/* As mount_copy_source finds it, but only opened. */
static int open_source(const struct launch *l, const struct mount_op *op, struct err *e)
{
	AUTO_FD int dir = open(l->plan->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_sys(e, errno, "open bundle %s", l->plan->bundle);
	int fd = openat(dir, op->source, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "error mounting \"%s\" to rootfs at \"%s\": stat %s",
			       op->source, op->dest, op->source);
	return fd;
}

int mount_open_sources(const struct launch *l, struct err *e)
{
	const struct plan *p = l->plan;

	for (size_t i = 0; i < p->n_mounts; i++) {
		l->sources[i] = -1;
		if (p->mounts[i].kind == MOUNT_BIND && !p->mounts[i].source_inside &&
		    (l->sources[i] = open_source(l, &p->mounts[i], e)) < 0)
			return -1;
	}
	int root = open(p->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "error preparing rootfs: open %s", p->rootfs);
	l->sources[p->n_mounts] = root;
	return 0;
}

int mount_set_idmap(const struct mount_op *op, int tree, int userns, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	int r = mount_api_set_attr(tree, op->rec_idmap, &attr);

	if (r == 0)
		return 0;
	err_sys(e, -r, "failed to set MOUNT_ATTR_IDMAP on %s", op->source);
	if (r == -EINVAL) {
		size_t n = strlen(e->msg);

		snprintf(e->msg + n, sizeof e->msg - n,
			 " (maybe the filesystem used doesn't support idmap mounts on this "
			 "kernel?)");
	}
	return -1;
}

/* The attributes of the source that a user namespace other than its owner's may not take away. */
static uint64_t locked_attrs(int tree)
{
	static const struct {
		unsigned long st;
		uint64_t attr;
	} flags[] = {
		{ ST_RDONLY, MOUNT_ATTR_RDONLY },   { ST_NOSUID, MOUNT_ATTR_NOSUID },
		{ ST_NODEV, MOUNT_ATTR_NODEV },     { ST_NOEXEC, MOUNT_ATTR_NOEXEC },
		{ ST_NOATIME, MOUNT_ATTR_NOATIME }, { ST_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	};
	struct statvfs fs;
	uint64_t attrs = 0;

	if (fstatvfs(tree, &fs) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (fs.f_flag & flags[i].st)
			attrs |= flags[i].attr;
	if (!(fs.f_flag & (ST_NOATIME | ST_RELATIME)))
		attrs |= MOUNT_ATTR_STRICTATIME;
	return attrs;
}

/* What was asked to go, or to be other times, and is locked. */
static bool asks_for_locked(const struct mount_op *op, uint64_t locked)
{
	const uint64_t times = MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;

	if (op->clear & MOUNT_ATTR__ATIME && ((op->set ^ locked) & times))
		return true;
	return op->clear & ~(op->set | times) & locked;
}

/* Any option makes the mount have just what the options say; but where the source belongs to
 * another user namespace, what it has and nobody spoke of stays (runc; mount(8) too). */
static int set_bind_attrs(const struct mount_op *op, int tree, bool in_userns, struct err *e)
{
	struct err first = { 0 };

	if (!op->drop && !op->set && !op->clear)
		return 0;
	if (!in_userns) {
		if (mount_set_attr(tree, op->set, op->clear | op->drop, false, op->dest, &first) ==
		    0)
			return 0;
		if (first.errnum != EPERM)
			return err_copy(e, &first);
	}
	uint64_t locked = locked_attrs(tree);
	if (asks_for_locked(op, locked))
		return err_sys(e, EPERM, "set mount attributes of %s", op->dest);
	return mount_set_attr(tree, op->set, (op->clear | op->drop) & ~locked, false, op->dest, e);
}

static int finish_bind(const struct mount_op *op, int tree, bool in_userns, struct err *e)
{
	if (set_bind_attrs(op, tree, in_userns, e) < 0)
		return -1;
	return mount_set_attr(tree, op->rec_set, op->rec_clear, true, op->dest, e);
}

/* After it is attached: sharing a detached mount would not reach its copies. */
static int finish_propagation(const struct mount_op *op, int tree, struct err *e)
{
	if (set_propagation(tree, op->rec_propagation, true, op->dest, e) < 0)
		return -1;
	return set_propagation(tree, op->propagation, false, op->dest, e);
}

/* A source that was opened while we could still reach it. */
static int copy_opened(const struct mount_op *op, int source, struct err *e)
{
	int tree = mount_api_clone(source, "", AT_EMPTY_PATH | (op->recursive ? AT_RECURSIVE : 0));

	return tree < 0 ? err_sys(e, -tree, "copy the mount of %s", op->source) : tree;
}

/* A source that an earlier mount may have put there; a link in it leads nowhere else. */
static int copy_inside(const struct mount_op *op, int rootfd, struct err *e)
{
	AUTO_FD int source = path_open(rootfd, op->source_inside, O_PATH, 0);

	return source < 0 ? err_sys(e, -source, "stat %s", op->source) : copy_opened(op, source, e);
}

/* We may have no right to change the owners of what we copied; whoever started us has. */
static int ask_for_owners(const struct launch *l, int tree, struct err *e)
{
	if (stage_send(l->end.sync, STAGE_OWNERS, tree, e) < 0)
		return -1;
	return stage_wait(l->end.sync, STAGE_RESUME, e);
}

static int do_bind(const struct launch *l, const struct mount_op *op, int ahead, int source,
		   int rootfd, struct err *e)
{
	AUTO_FD int own = -1;
	struct stat st;

	if (ahead < 0) {
		/* our namespace's mounts are cut off already, or are to be shared */
		own = source >= 0         ? copy_opened(op, source, e)
		      : op->source_inside ? copy_inside(op, rootfd, e)
					  : mount_copy_source(op, l->plan->bundle, true, e);
		if (own < 0 || (op->idmap && ask_for_owners(l, own, e) < 0))
			return -1;
	}
	int tree = ahead >= 0 ? ahead : own;
	if (fstat(tree, &st) < 0)
		return err_sys(e, errno, "stat mount source %s", op->source);
	AUTO_FD int target = mount_open_target(rootfd, op->dest, S_ISDIR(st.st_mode), e);
	if (target < 0 || mount_check_target(op, rootfd, target, tree, e) < 0)
		return -1;
	if (finish_bind(op, tree, l->plan->all_ns & CLONE_NEWUSER, e) < 0 ||
	    mount_attach(tree, target, op->dest, e) < 0)
		return -1;
	return finish_propagation(op, tree, e);
}

/* Types that are the same in any network namespace; sysfs and what fetches by network are not. */
static bool needs_netns(const char *fstype)
{
	static const char *const others[] = { "proc",   "tmpfs",  "devpts",
					      "mqueue", "cgroup", "cgroup2" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcmp(fstype, others[i]) == 0)
			return false;
	return true;
}

static bool has_param(const struct mount_op *op, const char *key)
{
	for (size_t i = 0; i < op->n_params; i++)
		if (strcmp(op->params[i].key, key) == 0)
			return true;
	return false;
}

/* A tmpfs over a folder has the folder's mode, unless told otherwise. */
static int keep_mode(struct mount_op *op, int rootfd, char text[16], struct err *e)
{
	struct stat st;

	if (strcmp(op->fstype, "tmpfs") != 0 || has_param(op, "mode"))
		return 0;
	AUTO_FD int fd = path_open(rootfd, op->dest, O_PATH, 0);
	if (fd == -ENOENT)
		return 0; /* it will be made */
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, fd < 0 ? -fd : errno, "open mount point %s", op->dest);
	snprintf(text, 16, "%04o", st.st_mode & 07777U);
	/* the plan leaves room for one more */
	op->params[op->n_params++] = (struct fs_param){ "mode", text };
	return 0;
}

static int do_fs(const struct launch *l, size_t i, int rootfd, int cwd, struct err *e)
{
	struct mount_op copy = l->plan->mounts[i], *op = &copy;
	char mode[16];

	if (keep_mode(op, rootfd, mode, e) < 0)
		return -1;
	AUTO_FD int target = mount_open_target(rootfd, op->dest, true, e);
	if (target < 0)
		return -1;
	if (mount_check_target(op, rootfd, target, -1, e) < 0)
		return -1;
	if (l->net && needs_netns(op->fstype) && netns_enter(l->net, e) < 0)
		return -1;
	if (cwd >= 0 && !op->copy_up && !op->late_readonly && !op->propagation &&
	    !op->rec_propagation &&
	    mount_direct(op->fstype, op->source, op->params, op->n_params, op->set, target, cwd))
		return 0;
	/* the source of a nodev file system is a name that only mountinfo shows */
	AUTO_FD int tree =
		mount_new_fs(op->fstype, op->source, op->params, op->n_params, op->set, e);
	if (tree < 0)
		return -1;
	if (op->copy_up && copy_up(l->end.procfd, target, tree, e) < 0)
		return err_wrap(e, "tmpcopyup");
	if (mount_attach(tree, target, op->dest, e) < 0 || finish_propagation(op, tree, e) < 0)
		return -1;
	if (op->late_readonly)
		l->late[i] = TAKE_FD(tree); /* the mount itself, wherever its path leads later */
	return 0;
}

/* "remount": the mount that is there gets other attributes. */
static int do_change(const struct mount_op *op, int rootfd, struct err *e)
{
	AUTO_FD int target = path_open(rootfd, op->dest, O_PATH, 0);

	if (target < 0)
		return err_sys(e, -target, "open mount point %s", op->dest);
	if (mount_set_attr(target, op->set, op->clear, false, op->dest, e) < 0)
		return -1;
	return finish_propagation(op, target, e);
}

static int mount_one(const struct launch *l, size_t i, int rootfd, int cwd, struct err *e)
{
	const struct mount_op *op = &l->plan->mounts[i];

	switch (op->kind) {
	case MOUNT_BIND:
		return do_bind(l, op, l->trees ? l->trees[i] : -1, l->sources ? l->sources[i] : -1,
			       rootfd, e);
	case MOUNT_FS:
		return do_fs(l, i, rootfd, cwd, e);
	case MOUNT_CGROUP:
		return mount_cgroup(l, op, rootfd, e);
	case MOUNT_CHANGE:
		return do_change(op, rootfd, e);
	}
	BUG("unknown mount kind");
}

/* Where we are, if we can come back: sources and the bundle may be relative to it. */
static int open_cwd(void)
{
	AUTO_FD int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fchdir(fd) == 0 ? TAKE_FD(fd) : -1;
}

int mount_all(const struct launch *l, int rootfd, struct err *e)
{
	AUTO_FD int cwd = open_cwd();

	for (size_t i = 0; i < l->plan->n_mounts; i++) {
		const struct mount_op *op = &l->plan->mounts[i];
		const char *what = op->source && *op->source ? op->source
				   : op->fstype              ? op->fstype
							     : "none";

		if (mount_one(l, i, rootfd, cwd, e) < 0)
			return err_wrap(e, "error mounting \"%s\" to rootfs at \"%s\"", what,
					op->dest);
	}
	return 0;
}
