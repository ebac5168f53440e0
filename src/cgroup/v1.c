/* v1 and hybrid: a folder in every hierarchy. */
#include "cgroup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

enum { FREEZE_TRIES = 2000, FREEZE_PAUSE_NS = 1000000, FREEZE_AGAIN = 50 };

/* A new cpuset takes no process until it has cpus and memory nodes: the parent's. */
static int inherit(int parentfd, int fd, const char *path, const char *file, struct err *e)
{
	char buf[4096];
	int r = cg_read(fd, file, buf, sizeof buf);

	if (r == 0 && *buf)
		return 0;
	if (r == 0)
		r = cg_read(parentfd, file, buf, sizeof buf);
	if (r == 0)
		r = cg_write(fd, file, buf);
	if (r < 0)
		return err_sys(e, -r, "cannot inherit %s in %s", file, path);
	return 0;
}

static int cpuset_on_new(int parentfd, int fd, const char *path, struct err *e)
{
	if (inherit(parentfd, fd, path, "cpuset.cpus", e) < 0)
		return -1;
	return inherit(parentfd, fd, path, "cpuset.mems", e);
}

const struct cgroup_dir_maker cgroup_v1_maker = { NULL, NULL };
const struct cgroup_dir_maker cgroup_cpuset_maker = { NULL, cpuset_on_new };

static const struct cgroup_dir *freezer(const struct cgroup *cg, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_FREEZER);

	if (!dir)
		err_set(e, ERR_FAILED_PRECONDITION, "no freezer cgroup is mounted");
	return dir;
}

static int read_state(const struct cgroup_dir *dir, char *buf, size_t size, struct err *e)
{
	int r = cg_read(dir->fd, "freezer.state", buf, size);

	if (r == -ENOENT || r == -ENODEV || r == -EBADF) /* it is gone, and nothing in it runs */
		snprintf(buf, size, "THAWED");
	else if (r < 0)
		return err_sys(e, -r, "cannot read %s/freezer.state", dir->path);
	return 0;
}

static int write_state(const struct cgroup_dir *dir, const char *state, struct err *e)
{
	int r = cg_write(dir->fd, "freezer.state", state);

	if (r < 0 && r != -ENOENT && r != -ENODEV && r != -EBADF)
		return err_sys(e, -r, "cannot write %s to %s/freezer.state", state, dir->path);
	return 0;
}

static int v1_set_frozen(const struct cgroup *cg, bool frozen, struct err *e)
{
	const struct cgroup_dir *dir = freezer(cg, e);
	char state[32] = "";

	if (!dir)
		return -1;
	if (!frozen)
		return write_state(dir, "THAWED", e);
	for (unsigned i = 0; i < FREEZE_TRIES; i++) {
		/* A task that forked while it froze holds the rest up: start over (kernel's
		 * freezer-subsystem.rst). */
		if (i % FREEZE_AGAIN == FREEZE_AGAIN - 1 && write_state(dir, "THAWED", e) < 0)
			return -1;
		if (write_state(dir, "FROZEN", e) < 0 ||
		    read_state(dir, state, sizeof state, e) < 0)
			return -1;
		if (strcmp(state, "FREEZING") != 0)
			return 0; /* FROZEN, or gone */
		nanosleep(&(struct timespec){ .tv_nsec = FREEZE_PAUSE_NS }, NULL);
	}
	(void)cg_write(dir->fd, "freezer.state", "THAWED"); /* as it was before */
	return err_set(e, ERR_DEADLINE_EXCEEDED, "unable to freeze %s", dir->path);
}

static int v1_is_frozen(const struct cgroup *cg, bool *ret, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_FREEZER);
	char state[32];

	*ret = false;
	if (!dir)
		return 0;
	if (read_state(dir, state, sizeof state, e) < 0)
		return -1;
	*ret = strcmp(state, "FROZEN") == 0 || strcmp(state, "FREEZING") == 0;
	return 0;
}

static int v1_kill(const struct cgroup *cg, struct err *e)
{
	(void)cg;
	return err_sys(e, ENOSYS, "v1 has no cgroup.kill");
}

/* The old interface: an eventfd told to memory.oom_control through cgroup.event_control. */
static int v1_oom_open(const struct cgroup *cg, struct cgroup_oom *ret, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_MEMORY);
	char line[64];

	if (!dir)
		return err_set(e, ERR_NOT_FOUND, "no memory cgroup is mounted");

	AUTO_FD int control = openat(dir->fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	if (control < 0)
		return err_sys(e, errno, "cannot open %s/memory.oom_control", dir->path);

	AUTO_FD int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event < 0)
		return err_sys(e, errno, "cannot make an eventfd");
	snprintf(line, sizeof line, "%d %d", event, control);
	int r = cg_write(dir->fd, "cgroup.event_control", line);
	if (r < 0)
		return err_sys(e, -r, "cannot ask for OOM events of %s", dir->path);
	ret->fd = TAKE_FD(event);
	ret->event_fd = TAKE_FD(control);
	return 0;
}

int cgroup_v1_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

const struct cgroup_ops cgroup_v1_ops = {
	.set_frozen = v1_set_frozen,
	.is_frozen = v1_is_frozen,
	.kill = v1_kill,
	.stat = cgroup_v1_stat,
	.oom_open = v1_oom_open,
};
