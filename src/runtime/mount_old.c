/* mount(2) in the place of the calls for detached mounts: mount_api.h says why it is safe. */
#include "runtime/mount_api.h"

#include "base/num.h"
#include "base/str.h"
#include "os/file.h"
#include "os/syscall.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#define ST_NOSYMFOLLOW_BIT 0x2000 /* statfs's name for it, 5.10 */

/* Of this process, as its working directory is. */
static struct {
	int fds; /* /proc/self/fd on the host's procfs */
	int stage; /* the tmpfs for what is not attached yet, or -1 */
	unsigned n_slots;
} old = { .fds = -1, .stage = -1 };

int mount_old_begin(int procfd)
{
	AUTO_FD int fd = openat(procfd, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st, top;
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || fstat(procfd, &top) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC || st.st_dev != top.st_dev)
		return -EXDEV;
	close_fd(&old.fds);
	old.fds = TAKE_FD(fd);
	old.stage = -1; /* a parent's is in another mount namespace */
	return 0;
}

/* One mount(2) with fds for paths; from -1: source is a name, or NULL. */
static int mount_fds(int from, const char *source, int to, const char *fstype, unsigned long flags,
		     const char *data)
{
	AUTO_FD int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char from_name[16], to_name[16];

	if (cwd < 0 || fchdir(old.fds) < 0)
		return -errno;
	snprintf(from_name, sizeof from_name, "%d", from);
	snprintf(to_name, sizeof to_name, "%d", to);
	int r = mount(from >= 0 ? from_name : source, to_name, fstype, flags, data) < 0 ? -errno
											: 0;
	/* In a user namespace the way back may be closed to us; nothing needs it. */
	if (fchdir(cwd) < 0 && chdir("/") < 0)
		return -errno;
	return r;
}

/* What is mounted on top of a folder.  A path would be looked up again and might lead elsewhere by
 * now; but ".." at the process's root stays there, and crosses what is mounted on it. */
static int open_top(int dirfd)
{
	AUTO_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0 || cwd < 0 || fchdir(dirfd) < 0 || chroot(".") < 0)
		return -errno;
	AUTO_FD int fd = open("/..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;
	if (fchdir(root) < 0 || chroot(".") < 0 || (fchdir(cwd) < 0 && chdir("/") < 0))
		return -errno;
	return r < 0 ? r : TAKE_FD(fd);
}

int mount_old_stage(int at)
{
	struct statfs fs;
	int r = mount_fds(-1, "tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "mode=0700,size=64k");

	if (r < 0)
		return r;
	AUTO_FD int fd = open_top(at);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return -EXDEV;
	/* Recursive copies of what it lies in leave it out. */
	r = mount_fds(-1, NULL, fd, NULL, MS_UNBINDABLE, NULL);
	if (r < 0)
		return r;
	close_fd(&old.stage);
	old.stage = TAKE_FD(fd);
	return 0;
}

/* A new place in the stage: an empty folder or file, and its name. */
static int make_slot(bool is_dir, char name[16])
{
	if (old.stage < 0)
		return -ENOTCONN;
	snprintf(name, 16, "%u", old.n_slots++);
	if (is_dir ? mkdirat(old.stage, name, 0700)
		   : mknodat(old.stage, name, S_IFREG | 0600, 0) < 0)
		return -errno;
	int fd = openat(old.stage, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int mount_old_clone(int dirfd, const char *path, unsigned flags)
{
	AUTO_FD int own = -1;
	struct stat st, now;
	char name[16];

	if (!(flags & AT_EMPTY_PATH) || *path) {
		own = openat(dirfd, path,
			     O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
		if (own < 0)
			return -errno;
	}
	int from = own >= 0 ? own : dirfd;
	if (fstat(from, &st) < 0)
		return -errno;
	AUTO_FD int slot = make_slot(S_ISDIR(st.st_mode), name);
	if (slot < 0)
		return slot;
	int r = mount_fds(from, NULL, slot, NULL, MS_BIND | (flags & AT_RECURSIVE ? MS_REC : 0),
			  NULL);
	if (r < 0)
		return r;
	AUTO_FD int tree = openat(old.stage, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (tree < 0 || fstat(tree, &now) < 0)
		return -errno;
	/* something was mounted on the source itself: it came along and is what shows */
	if (!(flags & AT_RECURSIVE) && (st.st_dev != now.st_dev || st.st_ino != now.st_ino))
		return -EBUSY;
	return TAKE_FD(tree);
}

int mount_old_move(int tree, int target)
{
	return mount_fds(tree, NULL, target, NULL, MS_MOVE, NULL);
}

int mount_old_bind(int from, int target)
{
	return mount_fds(from, NULL, target, NULL, MS_BIND, NULL);
}

/* The attributes that mount(2) and statfs(2) know by other bits. */
static const struct {
	uint64_t attr;
	unsigned long ms, st;
} attrs[] = {
	{ MOUNT_ATTR_RDONLY, MS_RDONLY, ST_RDONLY },
	{ MOUNT_ATTR_NOSUID, MS_NOSUID, ST_NOSUID },
	{ MOUNT_ATTR_NODEV, MS_NODEV, ST_NODEV },
	{ MOUNT_ATTR_NOEXEC, MS_NOEXEC, ST_NOEXEC },
	{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME, ST_NODIRATIME },
	{ MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW, ST_NOSYMFOLLOW_BIT },
};

unsigned long mount_old_flags(uint64_t attr)
{
	uint64_t atime = attr & MOUNT_ATTR__ATIME;
	unsigned long ms = atime == MOUNT_ATTR_NOATIME       ? MS_NOATIME
			   : atime == MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME
							     : MS_RELATIME;

	for (size_t i = 0; i < ARRAY_LEN(attrs); i++)
		if (attr & attrs[i].attr)
			ms |= attrs[i].ms;
	return ms;
}

static int read_attr(int fd, uint64_t *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*ret = fs.f_flags & ST_NOATIME    ? MOUNT_ATTR_NOATIME
	       : fs.f_flags & ST_RELATIME ? MOUNT_ATTR_RELATIME
					  : MOUNT_ATTR_STRICTATIME;
	for (size_t i = 0; i < ARRAY_LEN(attrs); i++)
		if ((unsigned long)fs.f_flags & attrs[i].st)
			*ret |= attrs[i].attr;
	return 0;
}

/* A remount sets all attributes, so that those it should leave are given again: in a user
 * namespace some of them must not be missing. */
static int change_attr(int fd, const struct mount_attr *a)
{
	uint64_t attr = 0, now = 0;
	int r = read_attr(fd, &attr);

	if (r < 0)
		return r;
	attr = (attr & ~a->attr_clr) | a->attr_set;
	r = mount_fds(-1, NULL, fd, NULL, MS_REMOUNT | MS_BIND | mount_old_flags(attr), NULL);
	if (r < 0)
		return r;
	/* An old kernel passes over bits that it does not know. */
	r = read_attr(fd, &now);
	return r < 0 ? r : a->attr_set & ~now ? -EOPNOTSUPP : 0;
}

static int read_mount_id(int fd, uint64_t *ret)
{
	static const char key[] = "mnt_id:\t";
	AUTO_FREE char *text = NULL;
	char path[32];

	snprintf(path, sizeof path, "../fdinfo/%d", fd);
	int r = file_read(old.fds, path, 1 << 16, &text, NULL);
	if (r < 0)
		return r;
	char *p = strstr(text, key);
	if (!p)
		return -ENODATA;
	p += sizeof key - 1;
	p[strcspn(p, "\n")] = 0;
	return num_u64(p, ret);
}

/* One line of mountinfo: "ID PARENT MAJ:MIN ROOT POINT …". */
struct mount_line {
	uint64_t id, parent;
	char *point; /* in the text, without its escapes */
};

static bool parse_line(char *line, struct mount_line *ret)
{
	char *save = NULL, *field[5];

	for (size_t i = 0; i < ARRAY_LEN(field); i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	char *to = field[4];
	for (const char *p = to; *p; p++) {
		if (p[0] == '\\' && p[1] && p[2] && p[3]) { /* "\040" */
			*to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = 0;
	ret->point = field[4];
	return num_u64(field[0], &ret->id) == 0 && num_u64(field[1], &ret->parent) == 0;
}

static bool is_in(const uint64_t *ids, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* A mount below the tree, by its way from there.  What is found must be that very mount: one that
 * another hides can't be reached, and is no mount to leave as it is. */
static int change_below(int tree, const char *rel, uint64_t id, const struct mount_attr *a)
{
	uint64_t found;
	AUTO_FD int fd = openat(tree, rel, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = read_mount_id(fd, &found);
	if (r < 0)
		return r;
	return found == id ? change_attr(fd, a) : -EBUSY;
}

/* mountinfo lists parents before their children. */
static int change_all_below(int tree, const struct mount_attr *a)
{
	AUTO_FREE char *text = NULL, *top = NULL;
	AUTO_FREE uint64_t *ids = NULL;
	size_t n = 0, cap = 0;
	uint64_t top_id;
	int r = read_mount_id(tree, &top_id);

	if (r == 0)
		r = file_read(old.fds, "../mountinfo", 64 << 20, &text, NULL);
	for (char *line = text, *next; r == 0 && *line; line = next) {
		struct mount_line m;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (!parse_line(line, &m))
			return -EIO;
		if (m.id == top_id)
			top = xstrdup(m.point);
		else if (!top || !is_in(ids, n, m.parent))
			continue;
		GROW(ids, n, cap);
		ids[n++] = m.id;
		if (m.id == top_id)
			continue;
		const char *rel = m.point + strlen(top);
		while (*rel == '/')
			rel++;
		r = change_below(tree, *rel ? rel : ".", m.id, a);
	}
	return r;
}

int mount_old_set_attr(int fd, bool recursive, const struct mount_attr *a)
{
	int r = 0;

	if ((a->attr_set | a->attr_clr) & MOUNT_ATTR_IDMAP)
		return -ENOSYS;
	if (a->propagation)
		r = mount_fds(-1, NULL, fd, NULL,
			      (unsigned long)a->propagation | (recursive ? MS_REC : 0), NULL);
	if (r < 0 || !(a->attr_set | a->attr_clr))
		return r;
	r = change_attr(fd, a);
	return r < 0 || !recursive ? r : change_all_below(fd, a);
}

/* Flags that are options to fsconfig(2) and bits to mount(2). */
static unsigned long super_flag(const char *key)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} flags[] = {
		{ "ro", MS_RDONLY },          { "sync", MS_SYNCHRONOUS },
		{ "dirsync", MS_DIRSYNC },    { "lazytime", MS_LAZYTIME },
		{ "iversion", MS_I_VERSION },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (strcmp(flags[i].name, key) == 0)
			return flags[i].flag;
	return 0;
}

int mount_old_data(const struct fs_param *params, size_t n, struct str *ret, unsigned long *flags)
{
	for (size_t i = 0; i < n; i++) {
		const struct fs_param *p = &params[i];
		unsigned long flag = p->value ? 0 : super_flag(p->key);

		*flags |= flag;
		if (flag)
			continue;
		/* one string for all of them: a comma would start another option */
		if (strchr(p->key, ',') || (p->value && strchr(p->value, ',')))
			return -EINVAL;
		str_addf(ret, "%s%s%s%s", ret->len ? "," : "", p->key, p->value ? "=" : "",
			 p->value ? p->value : "");
	}
	return ret->over ? -E2BIG : 0;
}

int mount_old_new(const char *fstype, const char *source, const struct fs_param *params,
		  size_t n_params, uint64_t attr)
{
	struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	AUTO_STR struct str data = STR_INIT(4095); /* the kernel copies a page */
	unsigned long flags = mount_old_flags(attr & ~(uint64_t)MOUNT_ATTR_RDONLY);
	char name[16];

	int r = mount_old_data(params, n_params, &data, &flags);

	if (r < 0)
		return r;
	AUTO_FD int slot = make_slot(true, name);
	if (slot < 0)
		return slot;
	r = mount_fds(-1, source && *source ? source : "none", slot, fstype, flags,
		      data.len ? str_c(&data) : NULL);
	if (r < 0)
		return r;
	AUTO_FD int tree = openat(old.stage, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (tree < 0)
		return -errno;
	/* Only now: as a flag of mount(2) it would make the file system itself read-only. */
	if (attr & MOUNT_ATTR_RDONLY)
		r = mount_old_set_attr(tree, false, &readonly);
	return r < 0 ? r : TAKE_FD(tree);
}
