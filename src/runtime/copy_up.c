#include "runtime/copy_up.h"

#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct copy_up {
	int procfd;
	unsigned depth;
};

static int copy_folder(struct copy_up *c, int from, int to, struct err *e);

static int copy_up_file(const struct copy_up *c, int path, int to, const char *name,
			const struct stat *st, struct err *e)
{
	char own[32], buf[16384];
	ssize_t n;

	snprintf(own, sizeof own, "self/fd/%d", path);
	AUTO_FD int in = openat(c->procfd, own, O_RDONLY | O_CLOEXEC);
	AUTO_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 st->st_mode & 07777);
	if (in < 0 || out < 0)
		return err_sys(e, errno, "copy %s", name);
	while ((n = read(in, buf, sizeof buf)) > 0)
		if (fd_write_all(out, buf, (size_t)n) < 0)
			return err_sys(e, errno, "copy %s", name);
	if (n < 0 || fchown(out, st->st_uid, st->st_gid) < 0 ||
	    fchmod(out, st->st_mode & 07777) < 0)
		return err_sys(e, errno, "copy %s", name);
	return 0;
}

/* The name is looked up once: whoever else has the folder may put another thing there at any time,
 * and only opening a device can do things. */
static int copy_up_one(struct copy_up *c, int from, int to, const char *name, struct err *e)
{
	AUTO_FD int path = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char link[4096];

	if (path < 0 || fstat(path, &st) < 0)
		return err_sys(e, errno, "copy %s", name);
	if (S_ISREG(st.st_mode))
		return copy_up_file(c, path, to, name, &st, e);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(path, "", link, sizeof link - 1);

		if (n < 0)
			return err_sys(e, errno, "copy %s", name);
		link[n] = 0;
		if (symlinkat(link, to, name) < 0)
			return err_sys(e, errno, "copy %s", name);
		return 0;
	}
	if (!S_ISDIR(st.st_mode)) { /* devices, fifos: the node itself */
		if (mknodat(to, name, st.st_mode, st.st_rdev) < 0)
			return err_sys(e, errno, "copy %s", name);
		return 0;
	}
	if (mkdirat(to, name, st.st_mode & 07777) < 0)
		return err_sys(e, errno, "copy %s", name);
	AUTO_FD int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0 || fchown(out, st.st_uid, st.st_gid) < 0 || fchmod(out, st.st_mode & 07777) < 0)
		return err_sys(e, errno, "copy %s", name);
	return copy_folder(c, path, out, e);
}

/* The contents of one folder, by fd. */
static int copy_folder(struct copy_up *c, int from, int to, struct err *e)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int r = 0;

	if (!dir || c->depth > 64) {
		(void)(dir ? closedir(dir) : fd < 0 ? 0 : close(fd));
		return err_sys(e, dir ? ELOOP : errno, "copy a folder");
	}
	c->depth++;
	while (r == 0 && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = copy_up_one(c, fd, to, d->d_name, e);
	c->depth--;
	closedir(dir);
	return r;
}

int copy_up(int procfd, int from, int to, struct err *e)
{
	struct copy_up c = { .procfd = procfd };

	return copy_folder(&c, from, to, e);
}
