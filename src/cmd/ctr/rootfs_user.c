/* The user of a container by its own /etc/passwd and /etc/group.
 *
 * An overlay's layers mostly say by themselves (rootfs_layers.h).  Else the snapshot is mounted for
 * a moment on a folder of our own, opened and unmounted again: from then on only this fd leads to
 * it, and all reads go through os/path.h, in the root, so that the image's symlinks lead nowhere
 * else (ARCHITECTURE.md, invariant 6). */
#include "cmd/ctr/container.h"
#include "cmd/ctr/mounts.h"
#include "cmd/ctr/rootfs_layers.h"

#include "os/fd.h"
#include "os/path.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { FILE_MAX = 4 << 20 };

/* Special files are none. */
static int read_file(struct arena *a, int fd, const char *path, const char **ret, struct err *e)
{
	struct stat st;
	char *buf;
	ssize_t n;

	*ret = "";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > FILE_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "%s of the image is larger than %d MiB",
			       path, FILE_MAX >> 20);
	buf = arena_alloc(a, (size_t)st.st_size + 1);
	n = fd_read_all(fd, buf, (size_t)st.st_size);
	if (n < 0)
		return err_sys(e, (int)-n, "read %s of the image", path);
	buf[n] = 0;
	*ret = buf;
	return 0;
}

/* A file of the image, "" when there is none. */
static int read_in_root(struct arena *a, int rootfd, const char *path, const char **ret,
			struct err *e)
{
	int fd AUTO_FD = path_open(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);

	*ret = "";
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return err_sys(e, -fd, "open %s of the image", path);
	return read_file(a, fd, path, ret, e);
}

/* 1: read; 0: the layers do not say. */
static int read_in_layers(struct arena *a, const Containerd__Types__Mount *m, const char *name,
			  const char **ret, struct err *e)
{
	int fd AUTO_FD = -1;
	enum layers_answer found = layers_open(m, "etc", name, &fd);

	*ret = "";
	if (found != LAYERS_FOUND)
		return found == LAYERS_ABSENT;
	return read_file(a, fd, name, ret, e) < 0 ? -1 : 1;
}

struct flag_name {
	const char *name;
	unsigned long set;
};

static const struct flag_name mount_flags[] = {
	{ "ro", MS_RDONLY },       { "bind", MS_BIND },   { "rbind", MS_BIND | MS_REC },
	{ "nosuid", MS_NOSUID },   { "nodev", MS_NODEV }, { "noexec", MS_NOEXEC },
	{ "noatime", MS_NOATIME }, { "rw", 0 },
};

static bool is_flag(const char *option, unsigned long *flags)
{
	for (size_t i = 0; i < ARRAY_LEN(mount_flags); i++)
		if (!strcmp(option, mount_flags[i].name)) {
			*flags |= mount_flags[i].set;
			return true;
		}
	return false;
}

/* Whose ids are shown does not matter to who reads two files. */
static bool is_idmap(const char *option)
{
	return str_starts(option, "uidmap=") || str_starts(option, "gidmap=");
}

/* What the file system itself wants to know, as "subvolid=" of btrfs. */
static char *data_options(const Containerd__Types__Mount *m, unsigned long *flags)
{
	struct str s AUTO_STR = STR_INIT(64 << 10);

	for (size_t i = 0; i < m->n_options; i++)
		if (!is_flag(m->options[i], flags) && !is_idmap(m->options[i]))
			str_addf(&s, "%s%s", s.len ? "," : "", m->options[i]);
	return str_take(&s);
}

/* upperdir and workdir become one more lower layer: a read-only overlay, which no other mount of
 * the same snapshot is in the way of. */
static char *overlay_options(const Containerd__Types__Mount *m)
{
	struct str s AUTO_STR = STR_INIT(64 << 10);
	const char *upper = mounts_option(m, "upperdir="), *lower = mounts_option(m, "lowerdir=");
	unsigned long ignored = 0;

	for (size_t i = 0; i < m->n_options; i++) {
		const char *o = m->options[i];

		if (!str_starts(o, "upperdir=") && !str_starts(o, "lowerdir=") &&
		    !str_starts(o, "workdir=") && !str_starts(o, "index=") &&
		    strcmp(o, "volatile") != 0 && !is_idmap(o) && !is_flag(o, &ignored))
			str_addf(&s, "%s,", o);
	}
	str_addf(&s, "lowerdir=%s%s%s", upper ? upper : "", upper ? ":" : "", lower ?: "");
	return str_take(&s);
}

/* A file with a file system in it: as the task will have it, since one that was not unmounted can't
 * be read before it has been repaired. */
static bool is_looped(const Containerd__Types__Mount *m)
{
	for (size_t i = 0; i < m->n_options; i++)
		if (!strcmp(m->options[i], "loop"))
			return true;
	return false;
}

static int mount_on(struct arena *a, const Containerd__Types__Mount *m, const char *target,
		    struct err *e)
{
	bool is_overlay = !strcmp(m->type, "overlay");
	unsigned long flags = MS_RDONLY;
	char *options AUTO_FREE = is_overlay ? overlay_options(m) : data_options(m, &flags);

	if (is_looped(m))
		return mounts_perform_safely(a, m, target, e);
	if (mount(m->source, target, m->type, flags | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) <
	    0)
		return err_sys(e, errno, "mount %s to look up the user", m->type);
	return 0;
}

/* *ret: a folder that is the root, no longer in any mount table. */
static int open_mounted(struct arena *a, const Containerd__Types__Mount *m, int *ret, struct err *e)
{
	char *dir = arena_strdup(a, "/tmp/containerd-mountXXXXXX");
	int r, fd = -1;

	if (!mkdtemp(dir))
		return err_sys(e, errno, "mkdtemp %s", dir);
	r = mount_on(a, m, dir, e);
	if (r == 0) {
		fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			r = err_sys(e, errno, "open %s", dir);
		(void)umount2(dir, MNT_DETACH); /* it lives on behind fd */
	}
	(void)rmdir(dir);
	*ret = fd;
	return r;
}

static int open_root(struct arena *a, Containerd__Types__Mount **mounts, size_t n, const char *path,
		     int *ret, struct err *e)
{
	bool is_bind = n == 1 && !strcmp(mounts[0]->type, "bind");

	if (n > 1)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "a snapshot of %zu mounts: cannot look up the user, give a number",
			       n);
	if (n == 0 || is_bind) {
		const char *dir = n ? mounts[0]->source : path;

		*ret = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return *ret < 0 ? err_sys(e, errno, "open %s", dir) : 0;
	}
	return open_mounted(a, mounts[0], ret, e);
}

int rootfs_user(struct ctr *ctr, Containerd__Types__Mount **mounts, size_t n, const char *path,
		const char *user, struct oci_user *ret, struct err *e)
{
	const char *passwd, *group;
	int fd AUTO_FD = -1, r = 0;

	if (n == 1 && !strcmp(mounts[0]->type, "overlay")) {
		r = read_in_layers(ctr->arena, mounts[0], "passwd", &passwd, e);
		if (r > 0)
			r = read_in_layers(ctr->arena, mounts[0], "group", &group, e);
	}
	if (r < 0)
		return -1;
	if (r == 0 && (open_root(ctr->arena, mounts, n, path, &fd, e) < 0 ||
		       read_in_root(ctr->arena, fd, "etc/passwd", &passwd, e) < 0 ||
		       read_in_root(ctr->arena, fd, "etc/group", &group, e) < 0))
		return -1;
	return generate_user(ctr->arena, user, passwd, group, ret, e);
}
