/* A tree copied with all it has: owners, modes, times, attributes, hard links, holes, devices. */
#include "store/tree.h"

#include "base/mem.h"
#include "store/inodes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

enum { NAMES_MAX = 64 << 10, VALUE_MAX = 64 << 10 };

/* The folders on the way, in the copy; fds[0] is the root. */
struct copy {
	int *fds;
	char **names; /* names[i]: of fds[i] in fds[i - 1] */
	size_t n, cap;
	struct inodes links;
};

static int copy_xattrs(int from, int to)
{
	AUTO_FREE char *list = xmalloc(NAMES_MAX);
	AUTO_FREE char *value = xmalloc(VALUE_MAX);
	ssize_t n = flistxattr(from, list, NAMES_MAX);

	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *p = list; p < list + n; p += strlen(p) + 1) {
		ssize_t len = fgetxattr(from, p, value, VALUE_MAX);

		if (len < 0 && errno == ENODATA)
			continue;
		if (len < 0 || fsetxattr(to, p, value, (size_t)len, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Owner first: chown clears the set-id bits. */
static int copy_attributes(int from, int to, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	int r = copy_xattrs(from, to);
	if (r < 0)
		return r;
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_data(int from, int to, off_t size)
{
	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	for (off_t left = size; left > 0;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);

		if (n < 0 &&
		    (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
			n = sendfile(to, from, NULL, (size_t)left);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		left -= n;
	}
	return 0;
}

static int copy_regular(const struct tree_entry *t, int at)
{
	AUTO_FD int from = openat(t->dirfd, t->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int to = openat(at, t->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (from < 0 || to < 0)
		return -errno;
	int r = copy_data(from, to, t->st.st_size);
	return r < 0 ? r : copy_attributes(from, to, &t->st);
}

static int copy_symlink(const struct tree_entry *t, int at)
{
	AUTO_FREE char *target = xmalloc((size_t)t->st.st_size + 1);
	ssize_t n = readlinkat(t->dirfd, t->name, target, (size_t)t->st.st_size + 1);

	if (n < 0 || n > t->st.st_size)
		return n < 0 ? -errno : -EIO;
	target[n] = 0;
	return symlinkat(target, at, t->name) < 0 ? -errno : 0;
}

/* Symlinks and special files can't be opened: owner and times by name, no extended attributes but
 * what the kernel sets itself. */
static int copy_special(const struct tree_entry *t, int at)
{
	const struct timespec times[] = { t->st.st_atim, t->st.st_mtim };
	int r = 0;

	if (S_ISLNK(t->st.st_mode))
		r = copy_symlink(t, at);
	else if (mknodat(at, t->name, t->st.st_mode, t->st.st_rdev) < 0)
		r = -errno;
	if (r < 0)
		return r;
	if (fchownat(at, t->name, t->st.st_uid, t->st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(t->st.st_mode) && fchmodat(at, t->name, t->st.st_mode & 07777, 0) < 0)
		return -errno;
	return utimensat(at, t->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* "a/b/name" below the root of the copy. */
static char *copied_path(const struct copy *c, const char *name)
{
	size_t n = strlen(name) + 1;

	for (size_t i = 1; i < c->n; i++)
		n += strlen(c->names[i]) + 1;

	char *path = xmalloc(n), *p = path;

	for (size_t i = 1; i < c->n; i++)
		p = stpcpy(stpcpy(p, c->names[i]), "/");
	stpcpy(p, name);
	return path;
}

static int copy_leaf(struct copy *c, const struct tree_entry *t)
{
	int at = c->fds[c->n - 1];

	if (t->st.st_nlink > 1) {
		struct inode *i;

		if (!inodes_add(&c->links, &t->st, &i))
			return linkat(c->fds[0], i->path, at, t->name, 0) < 0 ? -errno : 0;
		i->path = copied_path(c, t->name);
	}
	return S_ISREG(t->st.st_mode) ? copy_regular(t, at) : copy_special(t, at);
}

static int enter(struct copy *c, const struct tree_entry *t)
{
	int at = c->fds[c->n - 1];

	if (mkdirat(at, t->name, 0700) < 0)
		return -errno;
	int fd = openat(at, t->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (c->n == c->cap) {
		c->cap *= 2;
		c->fds = xreallocarray(c->fds, c->cap, sizeof *c->fds);
		c->names = xreallocarray(c->names, c->cap, sizeof *c->names);
	}
	c->fds[c->n] = fd;
	c->names[c->n++] = xstrdup(t->name);
	return 0;
}

static int leave(struct copy *c, const struct tree_entry *t)
{
	int fd = c->fds[--c->n];
	int r = copy_attributes(t->fd, fd, &t->st);

	close(fd);
	free(c->names[c->n]);
	return r;
}

static int copy_one(const struct tree_entry *t, void *arg)
{
	struct copy *c = arg;

	switch (t->when) {
	case TREE_ENTER:
		return enter(c, t);
	case TREE_LEAVE:
		return leave(c, t);
	case TREE_LEAF:
		return copy_leaf(c, t);
	}
	return 0;
}

int tree_copy(int from, int to)
{
	enum { FIRST = 16 };
	struct copy c = { .cap = FIRST };
	struct stat st;

	if (fstat(from, &st) < 0)
		return -errno;
	c.fds = xreallocarray(NULL, FIRST, sizeof *c.fds);
	c.names = xreallocarray(NULL, FIRST, sizeof *c.names);
	c.fds[0] = to;
	c.names[0] = NULL;
	c.n = 1;
	int r = tree_walk(from, copy_one, &c);
	while (c.n > 1) {
		close(c.fds[--c.n]);
		free(c.names[c.n]);
	}
	free(c.fds);
	free(c.names);
	inodes_done(&c.links);
	return r < 0 ? r : copy_attributes(from, to, &st);
}
