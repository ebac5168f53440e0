/* v2: one folder. */
#include "cgroup/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

enum { FREEZE_WAIT_MS = 10000 };

/* Hands the parent's controllers down, those that are not yet.  A controller that refuses is
 * found out by the limit that needs it. */
static int v2_on_way(int parentfd, const char *path, struct err *e)
{
	char have[1024], given[1024], *save = NULL;

	(void)path;
	(void)e;
	if (cg_read(parentfd, "cgroup.controllers", have, sizeof have) < 0 || !*have ||
	    cg_read(parentfd, "cgroup.subtree_control", given, sizeof given) < 0)
		return 0;
	if (strcmp(have, given) == 0)
		return 0;
	for (char *c = strtok_r(have, " ", &save); c; c = strtok_r(NULL, " ", &save)) {
		char plus[64];
		const char *at = strstr(given, c);
		size_t n = strlen(c);

		if (at && (at == given || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			continue;
		snprintf(plus, sizeof plus, "+%s", c);
		(void)cg_write(parentfd, "cgroup.subtree_control", plus); /* as said above */
	}
	return 0;
}

/* Below a folder with processes of its own, only threaded controllers can work. */
static int v2_on_new(int parentfd, int fd, const char *path, struct err *e)
{
	char type[64];

	(void)parentfd;
	if (cg_read(fd, "cgroup.type", type, sizeof type) < 0 || strcmp(type, "domain") == 0)
		return 0;
	if (strcmp(type, "domain invalid") == 0)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot enter cgroupv2 \"%s\" with domain controllers -- it is in "
			       "an invalid state",
			       path);
	if (strcmp(type, "domain threaded") == 0 || strcmp(type, "threaded") == 0)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot enter cgroupv2 \"%s\" with domain controllers -- it is in "
			       "%s mode",
			       path, type);
	return 0;
}

const struct cgroup_dir_maker cgroup_v2_maker = { v2_on_way, v2_on_new };

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* cgroup.events wakes a poller when "frozen" turns; read again each time. */
static int wait_frozen(const struct cgroup_dir *dir, struct err *e)
{
	AUTO_FD int fd = openat(dir->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	uint64_t end = now_ms() + FREEZE_WAIT_MS;

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s/cgroup.events", dir->path);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		uint64_t frozen = 0, now;
		char text[256];
		ssize_t n = pread(fd, text, sizeof text - 1, 0);

		if (n < 0)
			return err_sys(e, errno, "cannot read %s/cgroup.events", dir->path);
		text[n] = 0;
		if (cg_text_u64(text, "frozen", &frozen) && frozen)
			return 0;
		now = now_ms();
		if (now >= end)
			return err_set(e, ERR_DEADLINE_EXCEEDED, "unable to freeze %s", dir->path);
		(void)poll(&p, 1, (int)(end - now)); /* a wake-up too many only reads again */
	}
}

static int v2_set_frozen(const struct cgroup *cg, bool frozen, struct err *e)
{
	const struct cgroup_dir *dir = &cg->dirs[0];
	int r = cg_write(dir->fd, "cgroup.freeze", frozen ? "1" : "0");

	if (!frozen && (r == -ENOENT || r == -ENODEV || r == -EBADF))
		return 0; /* gone, or a kernel without a freezer: nothing is frozen */
	if (r < 0)
		return err_sys(e, -r, "cannot write %s/cgroup.freeze", dir->path);
	return frozen ? wait_frozen(dir, e) : 0;
}

static int v2_is_frozen(const struct cgroup *cg, bool *ret, struct err *e)
{
	uint64_t frozen = 0;
	int r = cg_read_u64(cg->dirs[0].fd, "cgroup.freeze", &frozen);

	*ret = r == 0 && frozen;
	if (r < 0 && r != -ENOENT && r != -ENODEV && r != -EBADF)
		return err_sys(e, -r, "cannot read %s/cgroup.freeze", cg->dirs[0].path);
	return 0;
}

static int v2_kill(const struct cgroup *cg, struct err *e)
{
	int r = cg_write(cg->dirs[0].fd, "cgroup.kill", "1");

	if (r == -EBADF || r == -ENODEV)
		return 0; /* gone, and so are they */
	if (r == -ENOENT)
		return err_sys(e, ENOSYS, "the kernel has no cgroup.kill");
	return r < 0 ? err_sys(e, -r, "cannot write %s/cgroup.kill", cg->dirs[0].path) : 0;
}

static int watch(const struct cgroup_dir *dir, int inotify, const char *file, int *ret,
		 struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir->path, file);
	AUTO_FD int fd = openat(dir->fd, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	if (inotify_add_watch(inotify, path, IN_MODIFY) < 0)
		return err_sys(e, errno, "cannot watch %s", path);
	*ret = TAKE_FD(fd);
	return 0;
}

static int v2_oom_open(const struct cgroup *cg, struct cgroup_oom *ret, struct err *e)
{
	const struct cgroup_dir *dir = &cg->dirs[0];
	AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	AUTO_FD int events = -1, populated = -1;
	struct err absent = { 0 };

	if (fd < 0)
		return err_sys(e, errno, "cannot make an inotify");
	if (watch(dir, fd, "cgroup.events", &populated, e) < 0)
		return -1;
	if (watch(dir, fd, "memory.events", &events, &absent) < 0 && absent.errnum != ENOENT)
		return err_copy(e, &absent);
	ret->fd = TAKE_FD(fd);
	ret->event_fd = TAKE_FD(events);
	ret->populated_fd = TAKE_FD(populated);
	ret->is_v2 = true;
	return 0;
}

int cgroup_v2_stat(const struct cgroup *cg, struct arena *a, struct cgroup_stat *ret,
		   struct err *e);

const struct cgroup_ops cgroup_v2_ops = {
	.set_frozen = v2_set_frozen,
	.is_frozen = v2_is_frozen,
	.kill = v2_kill,
	.stat = cgroup_v2_stat,
	.oom_open = v2_oom_open,
};
