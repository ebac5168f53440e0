#include "image/unpack_walk.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/path.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { MAX_LINKS = 40, ATTR_NAMES_MAX = 64 * 1024, ATTR_VALUE_MAX = 64 * 1024 };

static const char opaque_xattr[] = "trusted.overlay.opaque";

bool walk_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int walk_set_opaque(int dirfd)
{
	return setxattr(walk_fd_name(dirfd).s, opaque_xattr, "y", 1, 0) < 0 ? -errno : 0;
}

static bool is_opaque(int dirfd)
{
	char v;

	return getxattr(walk_fd_name(dirfd).s, opaque_xattr, &v, 1) == 1 && v == 'y';
}

bool walk_xattr_allowed(const char *name)
{
	if (str_starts(name, "user."))
		return !str_starts(name, "user.overlay.");
	return strcmp(name, "security.capability") == 0 || str_starts(name, "system.posix_acl_");
}

static int copy_xattrs(int from, int to)
{
	struct fd_name path = walk_fd_name(from);
	AUTO_FREE char *list = xmalloc(ATTR_NAMES_MAX), *value = xmalloc(ATTR_VALUE_MAX);
	ssize_t n = listxattr(path.s, list, ATTR_NAMES_MAX);

	if (n < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *p = list; p < list + n; p += strlen(p) + 1) {
		if (!walk_xattr_allowed(p))
			continue;
		ssize_t len = getxattr(path.s, p, value, ATTR_VALUE_MAX);
		if (len < 0 || (fsetxattr(to, p, value, (size_t)len, 0) < 0 && errno != ENOTSUP))
			return -errno;
	}
	return 0;
}

int walk_copy_attributes(int from, int to)
{
	struct stat st;

	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
	    fchmod(to, st.st_mode & 07777) < 0)
		return -errno;
	int r = copy_xattrs(from, to);
	if (r < 0)
		return r;
	return futimens(to, (struct timespec[]){ st.st_atim, st.st_mtim }) < 0 ? -errno : 0;
}

/* --- the walk --------------------------------------------------------------------------------- */

/* Where we stand: the folder's fd in upper (-1: only lower layers have it), its path without
 * links, and how many lower layers still count there (an opaque or hidden folder ends them). */
struct walk {
	const struct unpack_dirs *d;
	int fd;
	struct str at;
	size_t limit;
	char *rest;
	int links;
};

static void walk_done(struct walk *w)
{
	close_fd(&w->fd);
	str_done(&w->at);
	free(w->rest);
}

/* A folder by its path without links: one that has become a link is none. */
static int open_real(int dirfd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	const char *p = *path ? path : ".";
	int r = sys_openat2(dirfd, p, &how);

	if (r == -ENOSYS || r == -EPERM)
		r = path_open(dirfd, p, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	return r;
}

int walk_real(const struct unpack_dirs *d, const char *folder)
{
	return open_real(d->upper, folder);
}

/* name in the lower layers' folders at w->at: an O_PATH fd or -ENOENT. */
static int lookup_lower(struct walk *w, const char *name)
{
	if (w->limit && w->d->lowers_ready && !w->d->lowers_ready(w->d->lowers_arg))
		return -ECANCELED;
	for (size_t k = 0; k < w->limit; k++) {
		AUTO_FD int dir = open_real(w->d->lowers[k], str_c(&w->at));
		struct stat st;

		if (dir == -ENOENT)
			continue;
		if (dir < 0) { /* something else stands there and hides what is below */
			w->limit = k;
			break;
		}
		AUTO_FD int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0) {
			if (fstat(fd, &st) < 0)
				return -errno;
			if (!walk_is_whiteout(&st))
				return TAKE_FD(fd);
			return -ENOENT;
		}
		if (is_opaque(dir)) {
			w->limit = k + 1;
			break;
		}
	}
	return -ENOENT;
}

static void push(struct walk *w, const char *name)
{
	if (w->at.len)
		str_addc(&w->at, '/');
	str_add(&w->at, name);
}

static int go_up(struct walk *w)
{
	AUTO_FREE char *at = str_take(&w->at);
	char *slash = strrchr(at, '/');

	str_addn(&w->at, at, slash ? (size_t)(slash - at) : 0);
	w->limit = w->d->n_lowers;
	close_fd(&w->fd);
	w->fd = open_real(w->d->upper, str_c(&w->at));
	return w->fd == -ENOENT ? (w->fd = -1, 0) : w->fd < 0 ? w->fd : 0;
}

static int follow(struct walk *w, int linkfd)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(linkfd, "", target, sizeof target - 1);

	if (n < 0)
		return -errno;
	if (++w->links > MAX_LINKS)
		return -ELOOP;
	target[n] = 0;
	char *rest = xasprintf("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	if (target[0] == '/') {
		str_reset(&w->at);
		w->limit = w->d->n_lowers;
		close_fd(&w->fd);
		w->fd = open_real(w->d->upper, "");
		return w->fd < 0 ? w->fd : 0;
	}
	return 0;
}

/* Makes the folder in upper; `like` (O_PATH or -1) is the one below that it continues. */
static int make_folder(struct walk *w, const char *name, int like, bool opaque)
{
	if (mkdirat(w->fd, name, 0755) < 0)
		return -errno;
	AUTO_FD int fd = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = like >= 0 ? walk_copy_attributes(like, fd) : 0;
	if (r == 0 && opaque)
		r = walk_set_opaque(fd);
	if (r < 0)
		return r;
	close_fd(&w->fd);
	w->fd = TAKE_FD(fd);
	return 0;
}

/* The component is in upper: fd. */
static int step_upper(struct walk *w, const char *name, int fd, bool make)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow(w, fd);
	if (w->d->overlay && walk_is_whiteout(&st)) {
		if (!make)
			return -ENOENT;
		/* The layer hides the lower one and then fills it anew. */
		if (unlinkat(w->fd, name, 0) < 0)
			return -errno;
		int r = make_folder(w, name, -1, true);
		if (r < 0)
			return r;
		w->limit = 0;
	} else if (S_ISDIR(st.st_mode)) {
		close_fd(&w->fd);
		w->fd = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (w->fd < 0)
			return -errno;
	} else {
		return -ENOTDIR;
	}
	push(w, name);
	return 0;
}

static int step(struct walk *w, const char *name, bool make)
{
	struct stat st;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return go_up(w);
	if (w->fd >= 0) {
		AUTO_FD int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			return step_upper(w, name, fd, make);
		if (errno != ENOENT)
			return -errno;
	}

	AUTO_FD int lower = lookup_lower(w, name);
	if (lower >= 0) {
		if (fstat(lower, &st) < 0)
			return -errno;
		if (S_ISLNK(st.st_mode))
			return follow(w, lower);
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	} else if (!make || lower != -ENOENT) {
		return lower;
	}
	if (make) {
		int r = make_folder(w, name, lower, false);
		if (r < 0)
			return r;
	} else {
		close_fd(&w->fd);
		w->fd = -1;
	}
	push(w, name);
	return 0;
}

/* After a link in a lower layer the way may start where upper has nothing yet: go again from the
 * top, without links now, and make what is missing. */
static int remake(struct walk *w)
{
	AUTO_FREE char *path = str_take(&w->at);

	free(w->rest);
	w->rest = xstrdup(path);
	w->limit = w->d->n_lowers;
	close_fd(&w->fd);
	w->fd = open_real(w->d->upper, "");
	return w->fd < 0 ? w->fd : 0;
}

static int run(struct walk *w, bool make)
{
	for (;;) {
		char *p = w->rest + strspn(w->rest, "/"), name[NAME_MAX + 1];
		size_t n = strcspn(p, "/");

		if (n == 0)
			return 0;
		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, p, n);
		name[n] = 0;
		memmove(w->rest, p + n, strlen(p + n) + 1);
		if (make && w->fd < 0) {
			AUTO_FREE char *left = xasprintf("%s/%s/%s", str_c(&w->at), name, w->rest);
			int r = remake(w);

			if (r < 0)
				return r;
			free(w->rest);
			w->rest = TAKE_PTR(left);
			continue;
		}
		int r = step(w, name, make);
		if (r < 0)
			return r;
	}
}

static int walk(const struct unpack_dirs *d, const char *folder, bool make, struct walk *w)
{
	*w = (struct walk){ .d = d,
			    .fd = open_real(d->upper, ""),
			    .at = STR_INIT(PATH_MAX * 2),
			    .limit = d->n_lowers,
			    .rest = xstrdup(folder) };
	if (w->fd < 0)
		return w->fd;
	return run(w, make);
}

/* The last component; *ret_folder (owned) is all before it. */
static const char *split(const char *path, char **ret_folder)
{
	const char *slash = strrchr(path, '/');
	const char *leaf = slash ? slash + 1 : path;

	*ret_folder = xstrndup(path, (size_t)(leaf - path));
	return leaf;
}

int walk_parent(const struct unpack_dirs *d, const char *path, bool make, const char **ret_leaf)
{
	AUTO_FREE char *folder = NULL;
	struct walk w;

	*ret_leaf = split(path, &folder);
	/* Nearly always the folder is there, and one system call finds it. */
	int r = path_open(d->upper, *folder ? folder : ".", O_PATH | O_DIRECTORY, 0);
	if (r >= 0 || (r != -ENOENT && r != -ENOTDIR))
		return r;
	r = walk(d, folder, make, &w);
	if (r == 0 && w.fd < 0)
		r = -ENOENT;
	if (r == 0)
		r = TAKE_FD(w.fd);
	walk_done(&w);
	return r;
}

int walk_lower(const struct unpack_dirs *d, const char *path)
{
	AUTO_FREE char *folder = NULL;
	const char *leaf = split(path, &folder);
	struct walk w;
	int r = walk(d, folder, false, &w);

	if (r == 0)
		r = lookup_lower(&w, leaf);
	walk_done(&w);
	return r;
}
