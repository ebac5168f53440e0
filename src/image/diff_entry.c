#include "image/diff_entry.h"

#include "base/mem.h"
#include "image/unpack_walk.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum { NAMES_MAX = 64 * 1024, VALUE_MAX = 64 * 1024, COMPARE = 128 * 1024 };

int diff_entry_open(int dirfd, const char *name, struct diff_entry *ret)
{
	ret->fd = dirfd < 0 ? -1 : openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (ret->fd < 0)
		return dirfd < 0 || errno == ENOENT ? 0 : -errno;
	return fstat(ret->fd, &ret->st) < 0 ? -errno : 0;
}

void diff_entry_close(struct diff_entry *n)
{
	close_fd(&n->fd);
	n->fd = -1;
}

static bool has_xattr(const struct diff_entry *n, const char *name)
{
	return getxattr(walk_fd_name(n->fd).s, name, NULL, 0) >= 0;
}

bool diff_entry_is_whiteout(const struct diff_entry *n)
{
	return walk_is_whiteout(&n->st) || (S_ISREG(n->st.st_mode) && n->st.st_size == 0 &&
					    has_xattr(n, "trusted.overlay.whiteout"));
}

bool diff_entry_is_opaque(const struct diff_entry *n)
{
	char v;

	return getxattr(walk_fd_name(n->fd).s, "trusted.overlay.opaque", &v, 1) == 1 && v == 'y';
}

bool diff_entry_is_redirected(const struct diff_entry *n)
{
	return S_ISDIR(n->st.st_mode)   ? has_xattr(n, "trusted.overlay.redirect")
	       : S_ISREG(n->st.st_mode) ? has_xattr(n, "trusted.overlay.metacopy")
					: false;
}

int diff_entry_data(const struct diff_entry *n)
{
	int fd = open(walk_fd_name(n->fd).s, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int diff_entry_link(const struct diff_entry *n, struct arena *a, const char **ret)
{
	char target[TAR_NAME_MAX];
	ssize_t len = 0;

	if (S_ISLNK(n->st.st_mode))
		len = readlinkat(n->fd, "", target, sizeof target - 1);
	if (len < 0)
		return -errno;
	target[len] = 0;
	*ret = arena_strdup(a, target);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

int diff_entry_xattrs(const struct diff_entry *n, struct arena *a, struct tar_xattr **ret,
		      size_t *ret_n)
{
	struct fd_name path = walk_fd_name(n->fd);
	ssize_t len = listxattr(path.s, NULL, 0);

	*ret = NULL;
	*ret_n = 0;
	if (len <= 0)
		return len < 0 && errno != ENOTSUP ? -errno : 0;

	char *list = arena_alloc(a, NAMES_MAX);
	len = listxattr(path.s, list, NAMES_MAX);
	if (len < 0)
		return -errno;
	*ret = arena_array(a, TAR_XATTRS_MAX, sizeof **ret);
	AUTO_FREE char *value = xmalloc(VALUE_MAX);
	for (const char *p = list; p < list + len; p += strlen(p) + 1) {
		if (!walk_xattr_allowed(p))
			continue;
		ssize_t size = getxattr(path.s, p, value, VALUE_MAX);
		if (size < 0 && errno == ENODATA) /* gone meanwhile */
			continue;
		if (size < 0)
			return -errno;
		if (*ret_n == TAR_XATTRS_MAX)
			return -E2BIG;
		(*ret)[(*ret_n)++] =
			(struct tar_xattr){ p, arena_memdup(a, value, (size_t)size), (size_t)size };
	}
	qsort(*ret, *ret_n, sizeof **ret, by_name);
	return 0;
}

/* --- comparing --- */

static int same_xattrs(const struct diff_entry *x, const struct diff_entry *y)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct tar_xattr *xv = NULL, *yv = NULL;
	size_t xn = 0, yn = 0;
	int r = diff_entry_xattrs(x, a, &xv, &xn);

	if (r == 0)
		r = diff_entry_xattrs(y, a, &yv, &yn);
	if (r < 0 || xn != yn)
		return r;
	for (size_t i = 0; i < xn; i++)
		if (strcmp(xv[i].name, yv[i].name) != 0 || xv[i].len != yv[i].len ||
		    memcmp(xv[i].value, yv[i].value, xv[i].len) != 0)
			return 0;
	return 1;
}

static int same_link(const struct diff_entry *x, const struct diff_entry *y)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *xl = "", *yl = "";
	int r = diff_entry_link(x, a, &xl);

	if (r == 0)
		r = diff_entry_link(y, a, &yl);
	return r < 0 ? r : strcmp(xl, yl) == 0;
}

static int same_data(const struct diff_entry *x, const struct diff_entry *y)
{
	AUTO_FD int xfd = diff_entry_data(x);
	AUTO_FD int yfd = diff_entry_data(y);

	if (xfd < 0 || yfd < 0)
		return xfd < 0 ? xfd : yfd;
	AUTO_FREE char *xb = xmalloc(COMPARE), *yb = xmalloc(COMPARE);
	for (;;) {
		ssize_t xn = fd_read_all(xfd, xb, COMPARE), yn = fd_read_all(yfd, yb, COMPARE);

		if (xn < 0 || yn < 0)
			return (int)(xn < 0 ? xn : yn);
		if (xn != yn || memcmp(xb, yb, (size_t)xn) != 0)
			return 0;
		if (xn < COMPARE)
			return 1;
	}
}

int diff_entry_same(const struct diff_entry *x, const struct diff_entry *y)
{
	const struct stat *a = &x->st, *b = &y->st;

	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
	    a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return 0;
	if ((S_ISREG(a->st_mode) && a->st_size != b->st_size) ||
	    ((S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode)) && a->st_rdev != b->st_rdev))
		return 0;
	/* Layers have whole seconds: one of the two may have come from one. */
	bool is_cut = !a->st_mtim.tv_nsec || !b->st_mtim.tv_nsec;

	if (!is_cut && a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return 0;
	int r = same_xattrs(x, y);
	if (r == 1 && S_ISLNK(a->st_mode))
		r = same_link(x, y);
	if (r == 1 && S_ISREG(a->st_mode) && is_cut)
		r = same_data(x, y);
	return r;
}
