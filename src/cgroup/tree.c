/* A cgroup and its children: who lives there, and how the folders go. */
#include "base/num.h"
#include "cgroup/private.h"
#include "os/file.h"
#include "os/syscall.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PIDS_TEXT_MAX = 64 << 20, DEPTH_MAX = 64 };
#define NS_PER_MS 1000000ULL
static const uint64_t destroy_ns = 10000 * NS_PER_MS;

void cgroup_pids_done(struct cgroup_pids *p)
{
	free(p->v);
	*p = (struct cgroup_pids){ 0 };
}

static void add_pids(char *text, struct cgroup_pids *p)
{
	char *save = NULL;

	for (char *s = strtok_r(text, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
		int pid;

		/* 0: a process of a pid namespace that is not below ours */
		if (num_i32(s, &pid) < 0 || pid <= 0)
			continue;
		GROW(p->v, p->n, p->cap);
		p->v[p->n++] = pid;
	}
}

/* A container may name its own `.hidden`: only the two that every folder has are no children. */
static bool is_child(const struct dirent *d)
{
	return d->d_type == DT_DIR && strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* The folder, to be read.  NULL with *ret 0: there are no children, which its link count tells for
 * the price of one call; else with -errno. */
static DIR *open_children(int dirfd, int *ret)
{
	struct stat st;

	*ret = 0;
	if (fstat(dirfd, &st) < 0) {
		*ret = -errno;
		return NULL;
	}
	if (st.st_nlink == 2)
		return NULL;

	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		*ret = -errno;
		close_fd(&fd);
	}
	return dir;
}

/* Calls fn for every child folder, with its fd. */
static int each_child(int parent, int (*fn)(int parentfd, const char *name, int fd, void *data),
		      void *data)
{
	struct dirent *d;
	int r;
	DIR *dir = open_children(parent, &r);

	if (!dir)
		return r;
	while (r == 0 && (d = readdir(dir))) {
		if (!is_child(d))
			continue;
		AUTO_FD int child = openat(dirfd(dir), d->d_name,
					   O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			r = fn(dirfd(dir), d->d_name, child, data);
	}
	closedir(dir);
	return r;
}

/* The next child folder from *pos on, which moves behind it.  1: ret has its name, 0: no more. */
static int next_child(int parent, long *pos, char ret[NAME_MAX + 1])
{
	struct dirent *d;
	int r;
	DIR *dir = open_children(parent, &r);

	if (!dir)
		return r == -ENOENT || r == -ENODEV ? 0 : r; /* gone meanwhile */
	if (*pos)
		seekdir(dir, *pos);
	while (r == 0 && (d = readdir(dir)))
		if (is_child(d)) {
			snprintf(ret, NAME_MAX + 1, "%s", d->d_name);
			*pos = d->d_off;
			r = 1;
		}
	closedir(dir);
	return r;
}

static int read_pids(int fd, void *data)
{
	AUTO_FREE char *text = NULL;
	int r = file_read(fd, "cgroup.procs", PIDS_TEXT_MAX, &text, NULL);

	if (r == -EOPNOTSUPP) /* threaded: its processes are listed by an ancestor */
		return 0;
	if (r == -ENOENT || r == -ENODEV)
		return 0; /* gone meanwhile */
	if (r == 0)
		add_pids(text, data);
	return r;
}

/* A container may make cgroups deeper than we have fds or stack: one fd walks the tree, and where
 * it was in each folder above is remembered. */
int cgroup_walk(int top, int (*fn)(int fd, void *data), void *data)
{
	AUTO_FD int at = openat(top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE long *above = NULL;
	size_t n = 0, cap = 0;
	char name[NAME_MAX + 1];
	long pos = 0;
	int r = at < 0 ? -errno : fn(at, data);

	while (r == 0) {
		int next = -1;

		r = next_child(at, &pos, name);
		if (r < 0)
			return r;
		if (r == 1) {
			next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			r = 0;
			if (next < 0)
				continue; /* gone meanwhile */
			GROW(above, n, cap);
			above[n++] = pos;
			pos = 0;
			r = fn(next, data);
		} else if (n == 0) {
			return 0;
		} else {
			next = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
			if (next < 0)
				return -errno;
			pos = above[--n];
		}
		close_fd(&at);
		at = next;
	}
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

int cgroup_list_pids(const struct cgroup *cg, struct cgroup_pids *ret, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_main_dir(cg);

	if (!dir || dir->fd < 0)
		return 0;

	int r = cgroup_walk(dir->fd, read_pids, ret);
	if (r < 0)
		return err_sys(e, -r, "cannot list the processes of %s", dir->path);
	return 0;
}

static int take_name(int parentfd, const char *name, int fd, void *data)
{
	(void)parentfd;
	(void)fd;
	snprintf(data, NAME_MAX + 1, "%s", name);
	return 1; /* the first will do */
}

/* Down by first children to one without any, which goes.  1: it did; 0: top has no children. */
static int remove_leaf(int top)
{
	AUTO_FD int at = openat(top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1], below[NAME_MAX + 1];
	int r = at < 0 ? -errno : each_child(at, take_name, name);

	while (r == 1) {
		AUTO_FD int child = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		r = child < 0 ? -errno : each_child(child, take_name, below);
		if (r == 0)
			return unlinkat(at, name, AT_REMOVEDIR) < 0 ? -errno : 1;
		close_fd(&at);
		at = TAKE_FD(child);
		memcpy(name, below, sizeof name);
	}
	return r;
}

/* A container may make them deeper than we have fds: below DEPTH_MAX one fd must do. */
static int remove_child(int parentfd, const char *name, int fd, void *data)
{
	unsigned *depth = data;
	int r;

	if (*depth < DEPTH_MAX) {
		++*depth;
		r = each_child(fd, remove_child, depth);
		--*depth;
	} else {
		do
			r = remove_leaf(fd);
		while (r == 1);
		if (r == -EBUSY || r == -ENOENT)
			r = 0;
	}
	if (r < 0)
		return r;
	if (unlinkat(parentfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EBUSY)
		return -errno;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

/* The root of a hierarchy is nobody's container, whatever a saved path says. */
static bool is_mount_root(int dirfd)
{
	struct stat st, up;

	return fstat(dirfd, &st) < 0 || fstatat(dirfd, "..", &up, 0) < 0 || st.st_dev != up.st_dev;
}

/* Busy means that somebody is still dying in it, or that there are children. */
static int remove_dir(const struct cgroup *cg, struct cgroup_dir *dir, uint64_t deadline,
		      struct err *e)
{
	uint64_t pause = NS_PER_MS / 8;
	unsigned depth = 0;

	if (dir->fd >= 0 && is_mount_root(dir->fd))
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot remove the cgroup %s: it is the root of its hierarchy",
			       dir->path);
	for (;;) {
		if (rmdir(dir->path) == 0 || errno == ENOENT)
			break;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return err_sys(e, errno, "cannot remove the cgroup %s", dir->path);
		int r = dir->fd < 0 ? 0 : each_child(dir->fd, remove_child, &depth);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return err_sys(e, -r, "cannot remove the children of %s", dir->path);
		if (rmdir(dir->path) == 0 || errno == ENOENT)
			break;
		if (now_ns() > deadline)
			return err_sys(e, EBUSY, "cannot remove the cgroup %s", dir->path);
		nanosleep(&(struct timespec){ .tv_nsec = (long)pause }, NULL);
		if (pause < 50 * NS_PER_MS)
			pause *= 2;
		if (pause == 4 * NS_PER_MS)
			cgroup_thaw_all(cg); /* who is dying in it may stand still */
	}
	close_fd(&dir->fd);
	dir->fd = -1;
	dir->is_made = false;
	return 0;
}

bool cgroup_destroy_now(struct cgroup *cg)
{
	if (cg->unit)
		return false;
	for (size_t i = cg->n; i-- > 0;) {
		struct cgroup_dir *dir = &cg->dirs[i];

		if ((dir->fd >= 0 && is_mount_root(dir->fd)) ||
		    (rmdir(dir->path) < 0 && errno != ENOENT))
			return false;
		close_fd(&dir->fd);
		dir->fd = -1;
		dir->is_made = false;
	}
	return true;
}

int cgroup_destroy(struct cgroup *cg, struct err *e)
{
	uint64_t deadline = now_ns() + destroy_ns;
	struct err first = { 0 };

	if (!cgroup_unit_is_here(cg))
		return 0;
	if (cg->unit)
		(void)cgroup_systemd_stop(cg, &first); /* the first error is told; see below */
	for (size_t i = cg->n; i-- > 0;) {
		struct err here = { 0 };

		if (remove_dir(cg, &cg->dirs[i], deadline, &here) < 0 && first.code == ERR_OK)
			first = here; /* the others go all the same */
	}
	return first.code == ERR_OK ? 0 : err_copy(e, &first);
}
