/* A signal to everybody in a cgroup.
 *
 * v1 has no one word for "all", and SIGKILL does not wake who is frozen there.  Killed first and
 * thawed then, a caller who is killed in between leaves nothing that the next one does not finish.
 * Freezing before the kill is for a cgroup that forks faster than we list it: there alone such a
 * caller leaves it frozen, and the next one thaws what it finds. */
#include "cgroup/private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { PASSES = 10 };

static int thaw_one(int fd, void *data)
{
	(void)data;
	(void)cg_write(fd, "freezer.state", "THAWED"); /* gone meanwhile, or the hierarchy's root */
	return 0;
}

void cgroup_thaw_all(const struct cgroup *cg)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_FREEZER);

	/* v2's frozen processes die of SIGKILL */
	if (dir && !dir->is_v2 && dir->fd >= 0)
		(void)cgroup_walk(dir->fd, thaw_one, NULL); /* who waits for them will tell */
}

static int by_pid(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* -1 with e, else how many there were that `before` does not know. */
static int signal_all(const struct cgroup *cg, int sig, struct cgroup_pids *before, struct err *e)
{
	struct cgroup_pids now = { 0 };
	int failed = 0, n_new = 0;

	if (cgroup_list_pids(cg, &now, e) < 0) {
		cgroup_pids_done(&now);
		return -1;
	}
	if (now.n)
		qsort(now.v, now.n, sizeof *now.v, by_pid);
	for (size_t i = 0; i < now.n; i++) {
		if (kill(now.v[i], sig) < 0 && errno != ESRCH)
			failed = errno;
		n_new += !before->n ||
			 !bsearch(&now.v[i], before->v, before->n, sizeof *before->v, by_pid);
	}
	cgroup_pids_done(before);
	*before = now;
	return failed ? err_sys(e, failed, "cannot signal all processes of the cgroup") : n_new;
}

/* Until a look finds nobody new: who has SIGKILL coming forks no more. */
static int kill_by_passes(const struct cgroup *cg, bool *ret_is_done, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids seen = { 0 };
	int r = 1;

	for (unsigned i = 0; i < PASSES && r > 0; i++)
		r = signal_all(cg, SIGKILL, &seen, e);
	if (seen.n)
		cgroup_thaw_all(cg);
	*ret_is_done = r == 0;
	return r < 0 ? -1 : 0;
}

static int kill_frozen(const struct cgroup *cg, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids seen = { 0 };
	struct err ignored = { 0 };

	(void)cg->ops->set_frozen(cg, true, &ignored); /* no freezer: one more pass */
	int r = signal_all(cg, SIGKILL, &seen, e);

	err_clear(&ignored);
	(void)cg->ops->set_frozen(cg, false, &ignored);
	cgroup_thaw_all(cg);
	return r < 0 ? -1 : 0;
}

int cgroup_kill(struct cgroup *cg, int sig, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids none = { 0 };
	struct err first = { 0 };
	bool is_done;

	if (sig != SIGKILL)
		return signal_all(cg, sig, &none, e) < 0 ? -1 : 0;
	if (cg->ops->kill(cg, &first) == 0)
		return 0;
	if (first.errnum != ENOSYS)
		return err_copy(e, &first);
	if (kill_by_passes(cg, &is_done, e) < 0)
		return -1;
	return is_done ? 0 : kill_frozen(cg, e);
}
