/* The small files of cgroupfs, and folders, all relative to an fd. */
#include "base/num.h"
#include "cgroup/private.h"
#include "os/fd.h"
#include "os/syscall.h"

#include <string.h>
#include <sys/stat.h>

int cg_write(int dirfd, const char *file, const char *value)
{
	AUTO_FD int fd = openat(dirfd, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t r;

	if (fd < 0)
		return -errno;
	do /* memory limits are set by reclaim, which a signal may cut short */
		r = write(fd, value, strlen(value));
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int cg_read(int dirfd, const char *file, char *buf, size_t size)
{
	AUTO_FD int fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t r;

	if (fd < 0)
		return -errno;
	r = fd_read_all(fd, buf, size - 1);
	if (r < 0)
		return (int)r;
	while (r > 0 && (buf[r - 1] == '\n' || buf[r - 1] == ' '))
		r--;
	buf[r] = 0;
	return 0;
}

int cg_read_u64(int dirfd, const char *file, uint64_t *ret)
{
	char buf[64];
	int r = cg_read(dirfd, file, buf, sizeof buf);

	if (r < 0)
		return r;
	if (strcmp(buf, "max") == 0 || strcmp(buf, "-1") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return num_u64(buf, ret);
}

bool cg_text_u64(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, key, n) == 0 && line[n] == ' ') {
			char number[32] = "";
			size_t len = (size_t)(end - line) - n - 1;

			if (len >= sizeof number)
				return false;
			memcpy(number, line + n + 1, len);
			return num_u64(number, ret) == 0;
		}
		line = *end ? end + 1 : end;
	}
	return false;
}

/* A path below a folder of cgroupfs: no symlinks there, no other mounts, no way up. */
static int open_below(int dirfd, const char *rel)
{
	static const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	int fd = sys_openat2(dirfd, rel, &how);

	if (fd == -ENOSYS || fd == -EPERM) {
		/* The path is clean and cgroupfs has no symlinks: it can't lead away. */
		fd = openat(dirfd, rel, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	return fd;
}

/* One component: *parentfd becomes the child. */
static int make_one(int *parentfd, const char *name, const char *path,
		    const struct cgroup_dir_maker *m, bool *ret_made, struct err *e)
{
	AUTO_FD int fd = -1;
	int r;

	if (m->on_way && m->on_way(*parentfd, path, e) < 0)
		return -1;
	*ret_made = mkdirat(*parentfd, name, 0755) == 0;
	if (!*ret_made && errno != EEXIST)
		return err_sys(e, errno, "cannot make the cgroup %s", path);
	/* Whatever our umask: the process of a user namespace finds its own cgroup by this way. */
	r = *ret_made && fchmodat(*parentfd, name, 0755, 0) < 0 ? -errno
								: open_below(*parentfd, name);
	if (r < 0 && *ret_made)
		(void)unlinkat(*parentfd, name, AT_REMOVEDIR); /* e has the reason */
	if (r < 0)
		return err_sys(e, -r, "cannot open the cgroup %s", path);
	fd = r;
	if (m->on_new && m->on_new(*parentfd, fd, path, e) < 0) {
		if (*ret_made)
			(void)unlinkat(*parentfd, name, AT_REMOVEDIR); /* e has the reason */
		return -1;
	}
	close_fd(parentfd);
	*parentfd = TAKE_FD(fd);
	return 0;
}

int cgroup_make_dir(const char *mount, const char *rel, const struct cgroup_dir_maker *m,
		    struct cgroup_dir *dir, struct err *e)
{
	AUTO_FD int fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *copy = xstrdup(rel);
	char *save = NULL;

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", mount);
	dir->path = xasprintf("%s%s%s", mount, *rel == '/' ? "" : "/", rel);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save))
		if (make_one(&fd, name, dir->path, m, &dir->is_made, e) < 0) {
			dir->is_made = false;
			return -1;
		}
	dir->fd = TAKE_FD(fd);
	return 0;
}
