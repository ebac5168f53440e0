#include "shim/rootfs_idmap.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/loopdev.h"
#include "os/path.h"
#include "os/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* glibc's sys/mount.h and linux/mount.h both have these; either way the numbers are the kernel's.
 */
enum { CONFIG_MAX = 255, PAGE = 4096 };

/* An option that is no data of the file system: an attribute of the mount. */
struct option {
	const char *name;
	uint64_t set, clear; /* MOUNT_ATTR_* */
	uint64_t propagation; /* MS_* */
	bool is_bind, is_recursive;
	unsigned long old; /* MS_* for mount(2) */
};

#define ATIME_CLEAR MOUNT_ATTR__ATIME

static const struct option options[] = {
	{ "ro", MOUNT_ATTR_RDONLY, 0, .old = MS_RDONLY },
	{ "rw", 0, MOUNT_ATTR_RDONLY },
	{ "bind", .is_bind = true },
	{ "rbind", .is_bind = true, .is_recursive = true },
	{ "nosuid", MOUNT_ATTR_NOSUID, 0, .old = MS_NOSUID },
	{ "suid", 0, MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0, .old = MS_NODEV },
	{ "dev", 0, MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0, .old = MS_NOEXEC },
	{ "exec", 0, MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME, ATIME_CLEAR, .old = MS_NOATIME },
	{ "relatime", MOUNT_ATTR_RELATIME, ATIME_CLEAR, .old = MS_RELATIME },
	{ "strictatime", MOUNT_ATTR_STRICTATIME, ATIME_CLEAR, .old = MS_STRICTATIME },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0, .old = MS_NODIRATIME },
	{ "private", .propagation = MS_PRIVATE },
	{ "rprivate", .propagation = MS_PRIVATE, .is_recursive = true },
	{ "slave", .propagation = MS_SLAVE },
	{ "rslave", .propagation = MS_SLAVE, .is_recursive = true },
	{ "shared", .propagation = MS_SHARED },
	{ "rshared", .propagation = MS_SHARED, .is_recursive = true },
	{ "unbindable", .propagation = MS_UNBINDABLE },
	{ "defaults" },
};

struct wanted {
	struct mount_attr attr;
	bool is_bind, is_recursive;
	bool is_looped, is_direct;
	unsigned long old;
	struct strv data;
	int userns; /* of mapped ids, or -1 */
	const char *rootfs;
};

static int sort_options(const struct rootfs_mount *m, struct wanted *w, struct err *e)
{
	for (size_t i = 0; i < m->n_options; i++) {
		const char *o = m->options[i];
		const struct option *known = NULL;

		for (size_t k = 0; k < ARRAY_LEN(options) && !known; k++)
			if (strcmp(options[k].name, o) == 0)
				known = &options[k];
		if (!known) {
			if (str_starts(o, "uidmap=") || str_starts(o, "gidmap="))
				continue; /* rootfs_idmap.h */
			if (!strcmp(o, "loop") || !strcmp(o, "direct-io")) {
				w->is_looped |= !strcmp(o, "loop");
				w->is_direct |= !strcmp(o, "direct-io");
				continue;
			}
			if (str_starts(o, "X-containerd."))
				return err_set(e, ERR_UNIMPLEMENTED,
					       "mount option %s is not supported", o);
			strv_add(&w->data, o);
			continue;
		}
		w->attr.attr_clr |= known->clear;
		w->attr.attr_set = (w->attr.attr_set & ~known->clear) | known->set;
		w->attr.propagation |= known->propagation;
		w->is_bind |= known->is_bind;
		w->is_recursive |= known->is_recursive;
		w->old |= known->old;
	}
	if (!strcmp(m->type, "bind") || !strcmp(m->type, "rbind"))
		w->is_bind = true;
	return 0;
}

/* A detached copy of the source tree. */
static int open_bind(const struct rootfs_mount *m, const struct wanted *w, struct err *e)
{
	unsigned recursive = w->is_recursive ? AT_RECURSIVE : 0;
	struct mount_attr attr = w->attr;
	AUTO_FD int fd =
		sys_open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);

	if (fd < 0)
		return err_sys(e, -fd, "bind %s", m->source);
	if (w->userns >= 0 && rootfs_idmap_tree(fd, w->userns, w->is_recursive, e) < 0)
		return -1;
	if (!(attr.attr_set || attr.attr_clr || attr.propagation))
		return TAKE_FD(fd);

	int r = sys_mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &attr);

	return r < 0 ? err_sys(e, -r, "set options of bind %s", m->source) : TAKE_FD(fd);
}

/* Values above 255 bytes are refused by fsconfig: a folder's descriptor names it as well. */
static int set_path(int fs, const char *key, const char *value)
{
	char name[32];

	if (strlen(value) <= CONFIG_MAX)
		return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);

	AUTO_FD int dir = open(value, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	snprintf(name, sizeof name, "/proc/self/fd/%d", dir);
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, name, 0);
}

/* "a:b:c", where "\:" and "\\" stand for themselves. */
static void split_lower(const char *value, struct strv *ret)
{
	AUTO_STR struct str one = STR_INIT(1 << 16);

	for (const char *p = value;; p++) {
		if (*p == '\\' && p[1]) {
			str_addc(&one, *++p);
			continue;
		}
		if (*p && *p != ':') {
			str_addc(&one, *p);
			continue;
		}
		strv_add(ret, str_c(&one));
		str_reset(&one);
		if (!*p)
			return;
	}
}

static int set_option(int fs, const char *option, bool is_overlay)
{
	const char *equals = strchr(option, '=');

	if (!equals)
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);

	AUTO_FREE char *key = xstrndup(option, (size_t)(equals - option));

	if (!is_overlay)
		return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
	if (strcmp(key, "lowerdir") != 0)
		return set_path(fs, key, equals + 1);

	AUTO_STRV struct strv lower = { 0 };
	int r = 0;

	split_lower(equals + 1, &lower);
	for (size_t i = 0; i < lower.n && r >= 0; i++)
		r = set_path(fs, "lowerdir+", lower.v[i]);
	return r;
}

/* lowerdir= becomes the list of the mapped copies.  No ":" is in the path of a bundle (ids are
 * checked names). */
static int map_layers(struct wanted *w, struct err *e)
{
	for (size_t i = 0; i < w->data.n; i++) {
		AUTO_STR struct str option = STR_INIT(1 << 20);
		AUTO_STRV struct strv lower = { 0 };

		if (!str_starts(w->data.v[i], "lowerdir="))
			continue;
		split_lower(w->data.v[i] + strlen("lowerdir="), &lower);
		if (rootfs_idmap_lower(w->rootfs, &lower, w->userns, e) < 0)
			return -1;
		str_add(&option, "lowerdir=");
		for (size_t k = 0; k < lower.n; k++)
			str_addf(&option, "%s%s", k ? ":" : "", lower.v[k]);
		free(w->data.v[i]);
		w->data.v[i] = str_take(&option);
	}
	return 0;
}

/* What the kernel has to say, beyond an errno: "overlay: …" lines of the context. */
static void context_text(int fs, char *buf, size_t n)
{
	ssize_t got = read(fs, buf, n - 1);

	buf[got > 0 ? got : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
}

/* The file that is the source becomes a device, which lives as long as the mount. */
static int attach_loop(const struct rootfs_mount *m, const struct wanted *w,
		       char path[LOOPDEV_PATH], struct err *e)
{
	const struct loopdev_wish wish = { w->old & MS_RDONLY, w->is_direct };
	AUTO_FD int file =
		open(m->source, (wish.is_readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC);

	if (file < 0)
		return err_sys(e, errno, "open %s", m->source);
	int loop = loopdev_share(file, &wish, path);
	return loop < 0 ? err_sys(e, -loop, "attach a loop device to %s", m->source) : loop;
}

/* A detached mount of a file system.  -EINVAL from the options may mean an old kernel: the caller
 * tries mount(2) then. */
static int open_fs(const struct rootfs_mount *m, const struct wanted *w, bool *ret_may_be_old,
		   struct err *e)
{
	bool is_overlay = strcmp(m->type, "overlay") == 0;
	AUTO_FD int fs = sys_fsopen(m->type, FSOPEN_CLOEXEC);
	AUTO_FD int loop = -1;
	char text[200], device[LOOPDEV_PATH];
	const char *source = m->source;
	int r = fs;

	*ret_may_be_old = false;
	if (fs < 0) {
		*ret_may_be_old = fs == -ENOSYS;
		return err_sys(e, -fs, "mount %s: fsopen", m->type);
	}
	if (w->is_looped) {
		loop = attach_loop(m, w, device, e);
		if (loop < 0)
			return -1;
		source = device;
	}
	if (*source)
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0);
	for (size_t i = 0; i < w->data.n && r >= 0; i++) {
		r = set_option(fs, w->data.v[i], is_overlay);
		if (r < 0) {
			*ret_may_be_old = is_overlay && r == -EINVAL;
			context_text(fs, text, sizeof text);
			return err_sys(e, -r, "mount %s: option %.300s%s%s", m->type, w->data.v[i],
				       *text ? ": " : "", text);
		}
	}
	if (r >= 0 && w->old & MS_RDONLY)
		r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	if (r >= 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r == -EBUSY && w->is_looped && w->old & MS_RDONLY) {
		/* somebody writes to it: the same file system, of which this mount only reads */
		struct wanted shared = *w;

		shared.old &= ~(unsigned long)MS_RDONLY;
		return open_fs(m, &shared, ret_may_be_old, e);
	}
	if (r < 0) {
		/* before Linux 6.5 overlay takes any option and looks at all of them only now */
		*ret_may_be_old = is_overlay && r == -EINVAL;
		context_text(fs, text, sizeof text);
		return err_sys(e, -r, "mount %s%s%s", m->type, *text ? ": " : "", text);
	}

	AUTO_FD int fd = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)w->attr.attr_set);

	if (fd < 0)
		return err_sys(e, -fd, "mount %s: fsmount", m->type);
	if (w->attr.propagation) {
		struct mount_attr p = { .propagation = w->attr.propagation };

		r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, &p);
		if (r < 0)
			return err_sys(e, -r, "mount %s: propagation", m->type);
	}
	return TAKE_FD(fd);
}

/* The folder all lower ones share, so that they can be named from there. */
static size_t common_length(const struct strv *lower)
{
	size_t n = 0, at = 0;

	if (!lower->n)
		return 0;
	for (; lower->v[0][at]; at++) {
		for (size_t i = 1; i < lower->n; i++)
			if (lower->v[i][at] != lower->v[0][at])
				return n;
		if (lower->v[0][at] == '/')
			n = at + 1;
	}
	return n;
}

/* Before Linux 6.5: mount(2), whose options must fit a page; layers are named from their common
 * folder, which becomes our working directory for the moment. */
static int mount_overlay_old(const char *target, const struct rootfs_mount *m,
			     const struct wanted *w, struct err *e)
{
	AUTO_STR struct str data = STR_INIT(1 << 20);
	AUTO_FREE char *folder = NULL;
	AUTO_FD int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < w->data.n; i++) {
		const char *o = w->data.v[i];

		str_add(&data, i ? "," : "");
		if (!str_starts(o, "lowerdir=")) {
			str_add(&data, o);
			continue;
		}

		AUTO_STRV struct strv lower = { 0 };

		split_lower(o + 9, &lower);

		size_t cut = lower.n > 1 ? common_length(&lower) : 0;

		folder = cut > 1 ? xstrndup(lower.v[0], cut) : NULL;
		str_add(&data, "lowerdir=");
		for (size_t k = 0; k < lower.n; k++)
			str_addf(&data, "%s%s", k ? ":" : "", lower.v[k] + (folder ? cut : 0));
	}
	if (data.len >= PAGE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "mount options of %zu bytes do not fit this kernel's page",
			       data.len);
	if (cwd < 0 || (folder && chdir(folder) < 0))
		return err_sys(e, errno, "chdir %s", folder ? folder : ".");
	int r = mount(m->source, target, m->type, w->old, str_c(&data)) < 0 ? errno : 0;
	if (fchdir(cwd) < 0)
		return err_sys(e, errno, "chdir back");
	return r ? err_sys(e, r, "mount %s", m->type) : 0;
}

static int mount_one(const char *rootfs, const struct rootfs_mount *m, struct err *e)
{
	struct wanted w = { .userns = -1, .rootfs = rootfs };
	struct err error = { 0 };
	bool may_be_old = false;
	int rc = -1;
	AUTO_FD int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	AUTO_FD int target = -1;
	AUTO_FD int fd = -1;

	if (root < 0)
		return err_sys(e, errno, "open %s", rootfs);
	target = path_open(root, *m->target ? m->target : "/", O_PATH | O_DIRECTORY, 0);
	if (target < 0)
		return err_sys(e, -target, "open mount target %s in rootfs", m->target);
	if (sort_options(m, &w, e) < 0 || rootfs_idmap_open(m, &w.userns, e) < 0)
		goto out;
	if (w.userns >= 0 && !w.is_bind && map_layers(&w, e) < 0)
		goto out;
	fd = w.is_bind ? open_bind(m, &w, &error) : open_fs(m, &w, &may_be_old, &error);
	if (fd >= 0) {
		int r = sys_move_mount(fd, "", target, "",
				       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);

		rc = r < 0 ? err_sys(e, -r, "mount %s on %s", m->type, rootfs) : 0;
	} else if (may_be_old && !strcmp(m->type, "overlay") && !*m->target &&
		   mount_overlay_old(rootfs, m, &w, &(struct err){ 0 }) == 0) {
		rc = 0;
	} else {
		err_copy(e, &error);
	}
out:
	if (w.userns >= 0) {
		rootfs_idmap_done(rootfs);
		close(w.userns);
	}
	strv_done(&w.data);
	return rc;
}

int rootfs_mount_all(const char *rootfs, const struct rootfs_mount *m, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (mount_one(rootfs, &m[i], e) < 0) {
			struct err ignored = { 0 };

			(void)rootfs_unmount(rootfs, &ignored); /* the first error is the one */
			return err_wrap(e, "failed to mount rootfs component");
		}
	return 0;
}

int rootfs_unmount(const char *rootfs, struct err *e)
{
	rootfs_idmap_done(rootfs); /* of a shim that was killed in between */
	for (int i = 0; i < 64; i++) {
		if (umount2(rootfs, UMOUNT_NOFOLLOW) == 0)
			continue;
		if (errno == EBUSY && umount2(rootfs, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
			continue;
		if (errno == EINVAL || errno == ENOENT)
			return 0; /* nothing is mounted there */
		return err_sys(e, errno, "unmount %s", rootfs);
	}
	return err_set(e, ERR_INTERNAL, "unmount %s: there is no end of mounts", rootfs);
}
