/* How overlayfs marks things in its layers is in Documentation/filesystems/overlayfs.rst: a file
 * that hides one below is a character device 0:0, or has an attribute; a folder that hides one
 * below is "opaque"; "redirect" and "metacopy" mean that the contents are elsewhere. */
#include "cmd/ctr/rootfs_layers.h"

#include "cmd/ctr/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { GO_ON = -1 }; /* to the next layer */

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static bool is_marked(int fd, const char *name)
{
	return fgetxattr(fd, name, NULL, 0) >= 0 || errno != ENODATA;
}

/* 'y': hides what is below; 'x': whiteouts in it are attributes; 0: neither. */
static char opaqueness(int dirfd)
{
	char value = 0;
	ssize_t n = fgetxattr(dirfd, "trusted.overlay.opaque", &value, 1);

	if (n < 0)
		return errno == ENODATA ? 0 : 'x';
	return n == 1 ? value : 'x';
}

static int look_into(int dirfd, const char *name, int *ret_fd)
{
	char opaque = opaqueness(dirfd);
	struct stat st;

	if (opaque == 'x' || is_marked(dirfd, "trusted.overlay.redirect"))
		return LAYERS_UNKNOWN;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return LAYERS_UNKNOWN;
		return opaque ? LAYERS_ABSENT : GO_ON;
	}
	if (is_whiteout(&st))
		return LAYERS_ABSENT;
	if (!S_ISREG(st.st_mode))
		return LAYERS_UNKNOWN;
	int fd AUTO_FD = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || is_marked(fd, "trusted.overlay.metacopy") ||
	    is_marked(fd, "trusted.overlay.whiteout"))
		return LAYERS_UNKNOWN;
	*ret_fd = TAKE_FD(fd);
	return LAYERS_FOUND;
}

static int look_into_layer(const char *layer, const char *dir, const char *name, int *ret_fd)
{
	int top AUTO_FD = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (top < 0)
		return LAYERS_UNKNOWN;
	if (fstatat(top, dir, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? GO_ON : LAYERS_UNKNOWN;
	if (is_whiteout(&st))
		return LAYERS_ABSENT;
	int fd AUTO_FD = openat(top, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? LAYERS_UNKNOWN : look_into(fd, name, ret_fd);
}

enum layers_answer layers_open(const Containerd__Types__Mount *m, const char *dir, const char *name,
			       int *ret_fd)
{
	const char *upper = mounts_option(m, "upperdir="), *lower = mounts_option(m, "lowerdir=");

	/* trusted.* is not there for others, and not what counts with the option */
	if (geteuid() != 0 || mounts_option(m, "userxattr"))
		return LAYERS_UNKNOWN;
	/* "\:" is a colon in a name, "::" begins layers that have data only */
	if (!lower || strchr(lower, '\\') || strstr(lower, "::"))
		return LAYERS_UNKNOWN;
	int r = upper ? look_into_layer(upper, dir, name, ret_fd) : GO_ON;
	char *names AUTO_FREE = xstrdup(lower), *rest = NULL;

	for (char *l = strtok_r(names, ":", &rest); l && r == GO_ON; l = strtok_r(NULL, ":", &rest))
		r = look_into_layer(l, dir, name, ret_fd);
	return r == GO_ON ? LAYERS_ABSENT : (enum layers_answer)r;
}
