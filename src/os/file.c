#include "os/file.h"

#include "base/mem.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/syscall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	AUTO_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : file_read_fd(fd, max, ret, ret_len);
}

int file_read_fd(int fd, size_t max, char **ret, size_t *ret_len)
{
	size_t len = 0, cap = 0;
	AUTO_FREE char *buf = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* The size is a hint: procfs says 0, and a file may grow. */
	cap = st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size + 1 : 4096;
	buf = xmalloc(cap + 1);
	for (;;) {
		ssize_t r = fd_read_all(fd, buf + len, cap - len);

		if (r < 0)
			return (int)r;
		len += (size_t)r;
		if (len > max)
			return -EFBIG;
		if (len < cap)
			break;
		cap *= 2;
		buf = xreallocarray(buf, cap + 1, 1);
	}
	buf[len] = 0;
	if (ret_len)
		*ret_len = len;
	*ret = TAKE_PTR(buf);
	return 0;
}

int file_fsync_dir(int dirfd, const char *path)
{
	AUTO_FD int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

/* What stands there under our name is a crash's, or was put there: never written, but replaced. */
static int create_new(int dirfd, const char *path, unsigned mode)
{
	for (int tries = 0;; tries++) {
		int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				mode);

		if (fd >= 0 || errno != EEXIST || tries == 1)
			return fd < 0 ? -errno : fd;
		if (unlinkat(dirfd, path, 0) < 0 && errno != ENOENT)
			return -errno;
	}
}

int file_replace(int dirfd, const char *path, const void *bytes, size_t n, unsigned mode,
		 bool durable)
{
	AUTO_FREE char *tmp = xasprintf("%s.tmp-%d", path, (int)getpid());
	AUTO_FD int fd = create_new(dirfd, tmp, mode);
	int r;

	if (fd < 0)
		return fd;
	r = fd_write_all(fd, bytes, n);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0); /* the first error is the one to tell */
		return r;
	}
	if (!durable)
		return 0;

	AUTO_FREE char *copy = xstrdup(path);
	return file_fsync_dir(dirfd, dirname(copy));
}

int file_poke(int dirfd, const char *path, const char *text)
{
	AUTO_FD int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	/* One write: the kernel takes such a value whole or not at all. */
	ssize_t r = write(fd, text, n);
	if (r < 0)
		return -errno;
	return (size_t)r == n ? 0 : -EIO;
}

int file_lock(const char *path, int *ret_fd)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &whole) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int file_mkdirs(const char *path, unsigned mode)
{
	AUTO_FREE char *copy = xstrdup(path);

	for (char *p = copy + 1; *copy && *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int file_mkdirs_below(int dirfd, const char *path, unsigned mode)
{
	AUTO_FD int at = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t n; at >= 0 && *path; path += n + (path[n] == '/')) {
		n = strcspn(path, "/");
		AUTO_FREE char *name = xstrndup(path, n);

		if (strcmp(name, "..") == 0)
			return -EINVAL;
		if (n == 0 || strcmp(name, ".") == 0)
			continue;
		if (mode && mkdirat(at, name, mode) < 0 && errno != EEXIST)
			return -errno;
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int errnum = errno;

		close(at);
		at = next;
		if (at < 0)
			return errnum == ELOOP ? -ENOTDIR : -errnum;
	}
	return at < 0 ? -errno : TAKE_FD(at);
}

/* A hostile tree may be deeper than a thread has stack or a process has fds: what lies deeper than
 * this is moved up to the top and removed from there. */
enum { REMOVE_DEPTH = 64 };

struct removal {
	int topfd; /* the tree itself */
	uint64_t mount;
	unsigned depth;
	unsigned long moved;
};

static int remove_entries(int fd, struct removal *rm);

/* Which mount fd is on: a bind mount has the device of what it shows, so that st_dev can't tell.
 * Kernels before 5.8 have no such number: there the device must do. */
static int mount_of(int fd, uint64_t *ret)
{
	struct statx st;
	int r = sys_statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st);

	if (r < 0)
		return r;
	*ret = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id
					  : (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	return 0;
}

static int move_up(int dirfd, const char *name, struct removal *rm)
{
	char up[40];
	int r;

	do {
		snprintf(up, sizeof up, ".deep-%lu", rm->moved++);
		r = sys_renameat2(dirfd, name, rm->topfd, up, RENAME_NOREPLACE);
	} while (r == -EEXIST);
	return r;
}

static int remove_one(int dirfd, const char *name, struct removal *rm)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EBUSY)
		return -errno;

	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t mount = 0;

	if (fd < 0)
		return -errno;
	if (mount_of(fd, &mount) < 0 || mount != rm->mount) {
		close(fd);
		return -EBUSY;
	}
	if (rm->depth >= REMOVE_DEPTH) {
		close(fd);
		return move_up(dirfd, name, rm);
	}
	rm->depth++;
	int r = remove_entries(fd, rm); /* closes fd */
	rm->depth--;
	if (r < 0)
		return r;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int remove_entries(int fd, struct removal *rm)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = remove_one(fd, d->d_name, rm);
	closedir(dir);
	return r;
}

int file_remove_tree(int dirfd, const char *path)
{
	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EBUSY)
		return -errno;

	AUTO_FD int top = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int parent = top < 0 ? -1 : openat(top, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t mount = 0, outer = 0;

	if (top < 0 || parent < 0)
		return -errno;
	if (mount_of(top, &mount) < 0 || mount_of(parent, &outer) < 0 || mount != outer)
		return -EBUSY; /* itself a mount point */

	/* Each pass takes REMOVE_DEPTH levels; only what moved up needs another one. */
	struct removal rm = { .topfd = top, .mount = mount };

	for (;;) {
		unsigned long moved = rm.moved;
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int r = fd < 0 ? -errno : remove_entries(fd, &rm);

		if (r < 0)
			return r;
		if (unlinkat(dirfd, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY || moved == rm.moved)
			return -errno;
	}
}

/* A working directory that was entered by a descriptor may have no way from our root; the kernel
 * then says the way from the root of its own mount namespace, which is good if it leads there from
 * ours too. */
static char *unreachable_cwd(void)
{
	static const char mark[] = "(unreachable)";
	struct stat here, there;
	char buf[8192];

	if (syscall(SYS_getcwd, buf, sizeof buf) <= 0 || strncmp(buf, mark, sizeof mark - 1) != 0 ||
	    stat(".", &here) < 0 || stat(buf + sizeof mark - 1, &there) < 0 ||
	    here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return NULL;
	return xstrdup(buf + sizeof mark - 1);
}

char *file_real_path(const char *path)
{
	char *real = realpath(path, NULL);
	int error = errno;

	if (real || *path == '/')
		return real;
	/* glibc's finds a way, musl's does not */
	AUTO_FREE char *cwd = unreachable_cwd();
	AUTO_FREE char *whole = cwd ? xasprintf("%s/%s", cwd, path) : NULL;
	if (whole)
		return realpath(whole, NULL);
	errno = error;
	return NULL;
}
