#include "os/path.h"

#include "base/mem.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum {
	MAX_LINKS = 40, /* the kernel's MAXSYMLINKS */
	MAX_DEPTH = 512, /* fds a walk may hold: deeper than any image, below the fd limit */
	MAX_RETRIES = 1000,
	PROC_MAGIC = 0x9fa0,
};

static int forced_errno;

void path_force_openat2_errno(int errnum)
{
	forced_errno = errnum;
}

/* The way from the root to where we are, one O_PATH fd a component. */
struct walk {
	int rootfd, depth, links;
	int fds[MAX_DEPTH];
	char *rest; /* what is still to be resolved; owned */
};

static void walk_done(struct walk *w)
{
	while (w->depth > 0)
		close(w->fds[--w->depth]);
	free(w->rest);
}

static int top(const struct walk *w)
{
	return w->depth ? w->fds[w->depth - 1] : w->rootfd;
}

static void pop(struct walk *w)
{
	if (w->depth)
		close(w->fds[--w->depth]);
}

/* Takes the first component off rest into name. False at the end. */
static bool next_component(struct walk *w, char name[NAME_MAX + 1], int *ret_error)
{
	char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");

	*ret_error = 0;
	if (n == 0)
		return false;
	if (n > NAME_MAX) {
		*ret_error = -ENAMETOOLONG;
		return false;
	}
	memcpy(name, p, n);
	name[n] = 0;
	memmove(w->rest, p + n, strlen(p + n) + 1);
	return true;
}

static bool at_end(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == 0;
}

/* Puts the link's target in front of what is left. */
static int follow(struct walk *w, int linkfd)
{
	char target[PATH_MAX];
	struct statfs fs;

	if (++w->links > MAX_LINKS)
		return -ELOOP;
	if (fstatfs(linkfd, &fs) < 0)
		return -errno;
	if (fs.f_type == PROC_MAGIC)
		return -ELOOP; /* it may be a magic link: those lead out */
	ssize_t n = readlinkat(linkfd, "", target, sizeof target);
	if (n < 0)
		return -errno;
	if (n == 0 || (size_t)n >= sizeof target)
		return -ENOENT;
	target[n] = 0;
	if (target[0] == '/')
		while (w->depth)
			pop(w);
	char *rest = xasprintf("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	return 0;
}

/* One component down. create_mode: -1, or what a missing folder is made with.  stay: do not
 * follow it if it is a link, but stand on the link itself. */
static int step(struct walk *w, const char *name, int create_mode, bool stay)
{
	struct stat st;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		pop(w);
		return 0;
	}
	if (w->depth == MAX_DEPTH)
		return -ENAMETOOLONG;
	int fd = openat(top(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && create_mode >= 0) {
		if (mkdirat(top(w), name, (mode_t)create_mode) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(top(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	if (S_ISLNK(st.st_mode) && !stay) {
		int r = follow(w, fd);

		close(fd);
		return r;
	}
	w->fds[w->depth++] = fd;
	return 0;
}

/* Opens the last component.  INT_MAX: it was a symlink; its target now stands in rest. */
static int open_last(struct walk *w, const char *name, int flags, mode_t mode)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		(void)step(w, name, -1, false); /* these two cannot fail */
		int fd = openat(top(w), ".", flags & ~O_CREAT);

		return fd < 0 ? -errno : fd;
	}
	int fd = openat(top(w), name, flags | O_NOFOLLOW, mode);
	if (fd < 0) {
		int error = errno;

		/* ELOOP says link, and so does ENOTDIR for a folder that was asked for */
		if (!(flags & O_NOFOLLOW) && (error == ELOOP || error == ENOTDIR) &&
		    fstatat(top(w), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
			return step(w, name, -1, false) < 0 ? -ELOOP : INT_MAX;
		return -error;
	}
	if ((flags & O_PATH) && !(flags & O_NOFOLLOW)) {
		if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {
			close(fd);
			return step(w, name, -1, false) < 0 ? -ELOOP : INT_MAX;
		}
	}
	return fd;
}

/* The walk that openat2 spares: each step by fd and without following, so that a tree that
 * changes under us can mislead us inside the root only. */
static int walk_open(int rootfd, const char *path, int flags, mode_t mode)
{
	struct walk w = { .rootfd = rootfd, .rest = xstrdup(path) };
	char name[NAME_MAX + 1];
	int r = 0;

	for (;;) {
		int error;

		if (!next_component(&w, name, &error)) {
			r = error ? error : openat(top(&w), ".", flags & ~O_CREAT);
			if (r == -1)
				r = -errno;
			break;
		}
		if (at_end(&w)) {
			r = open_last(&w, name, flags, mode);
			if (r == INT_MAX)
				continue;
			break;
		}
		r = step(&w, name, -1, false);
		if (r < 0)
			break;
	}
	walk_done(&w);
	return r;
}

int path_open(int rootfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int r;

	/* EAGAIN: a rename or mount somewhere raced with a ".." of ours; the kernel asks to retry.
	 */
	for (int i = 0; i < MAX_RETRIES; i++) {
		r = forced_errno ? -forced_errno : sys_openat2(rootfd, path, &how);
		if (r != -EAGAIN && r != -EINTR)
			break;
	}
	/* A seccomp profile that does not know openat2 says EPERM; if the file system said it, the
	 * walk says it again. */
	if (r == -ENOSYS || r == -EPERM)
		return walk_open(rootfd, path, flags | O_CLOEXEC, mode);
	return r;
}

/* The common case: only the last component is missing.  -ENOENT or -ELOOP: it is not that. */
static int make_last(int rootfd, const char *path, mode_t mode)
{
	const char *name;
	AUTO_FD int parent = path_open_parent(rootfd, path, false, &name);

	if (parent < 0)
		return -ENOENT;
	if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
		return -errno;
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) /* a link came in between, or was there and leads nowhere */
		return errno == ENOTDIR || errno == ELOOP ? -ELOOP : -errno;
	return fd;
}

int path_mkdirs(int rootfd, const char *path, mode_t mode)
{
	int r = path_open(rootfd, path, O_PATH | O_DIRECTORY, 0);

	if (r != -ENOENT)
		return r;
	r = make_last(rootfd, path, mode);
	if (r != -ENOENT && r != -ELOOP)
		return r;

	struct walk w = { .rootfd = rootfd, .rest = xstrdup(path) };
	char name[NAME_MAX + 1];

	r = 0;
	while (r == 0 && next_component(&w, name, &r))
		r = step(&w, name, (int)mode, false);
	if (r == 0) {
		r = openat(top(&w), ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (r < 0)
			r = -errno;
	}
	walk_done(&w);
	return r;
}

/* 1 when it was made here: it lies on top.  Else what is there is for step(). */
static int make_file(struct walk *w, const char *name, mode_t mode)
{
	if (w->depth == MAX_DEPTH)
		return -ENAMETOOLONG;
	int fd = openat(top(w), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return errno == EEXIST || errno == EISDIR ? 0 : -errno;
	close(fd);
	fd = openat(top(w), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	w->fds[w->depth++] = fd;
	return 1;
}

int path_mkfile(int rootfd, const char *path, mode_t mode)
{
	struct walk w = { .rootfd = rootfd, .rest = xstrdup(path) };
	char name[NAME_MAX + 1];
	int r = 0;

	while (r >= 0 && next_component(&w, name, &r)) {
		bool is_last = at_end(&w);

		r = is_last ? make_file(&w, name, mode) : 0;
		if (r == 0)
			r = step(&w, name, is_last ? -1 : 0755, false);
	}
	if (r >= 0) {
		r = fcntl(top(&w), F_DUPFD_CLOEXEC, 3);
		if (r < 0)
			r = -errno;
	}
	walk_done(&w);
	return r;
}

int path_open_parent(int rootfd, const char *path, bool make, const char **ret_name)
{
	size_t n = strlen(path);
	const char *name;

	if (n == 0 || path[n - 1] == '/')
		return -EINVAL;
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;

	AUTO_FREE char *dir = xstrndup(path, (size_t)(name - path));
	*ret_name = name;
	if (make)
		return path_mkdirs(rootfd, *dir ? dir : "/", 0755);
	return path_open(rootfd, *dir ? dir : "/", O_PATH | O_DIRECTORY, 0);
}
