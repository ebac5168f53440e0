/* A plan of limits, carried out: what the kernel refuses is told in runc's words, and an update
 * that fails in the middle puts back what was there. */
#include "cgroup/apply.h"

#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum { OLD_MAX = 4096 };

static int write_text(const struct cgroup_dir *dir, const struct cgroup_write *w, const char *file,
		      const char *value)
{
	AUTO_FREE char *copy = NULL;
	char *save = NULL;

	if (w->kind != CGROUP_WRITE_UNIFIED || !strchr(value, '\n'))
		return cg_write(dir->fd, file, value);
	copy = xstrdup(value); /* such files take one line a write */
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int r = cg_write(dir->fd, file, line);

		if (r < 0)
			return r;
	}
	return 0;
}

static int write_one(const struct cgroup_dir *dir, const struct cgroup_write *w)
{
	int r = write_text(dir, w, w->file, w->value);

	if (r == -ENOENT && w->other_file)
		r = write_text(dir, w, w->other_file, w->other_value);
	return r == -ENOENT && w->may_miss ? 0 : r;
}

/* v1's kernel bends shares that are out of range; nobody is told unless we look. */
static int check_shares(const struct cgroup_dir *dir, const struct cgroup_write *w, struct err *e)
{
	uint64_t is, want;

	if (num_u64(w->value, &want) < 0 || cg_read_u64(dir->fd, w->file, &is) < 0 || is == want)
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT, "the %s allowed cpu-shares is %" PRIu64,
		       want > is ? "maximum" : "minimum", is);
}

/* A processor or a memory node that there is not. */
static void explain_cpuset(const char *file, struct err *e)
{
	bool is_cpus = strcmp(file, "cpuset.cpus") == 0;
	char online[200];
	int r = -1;

	if (is_cpus)
		r = cg_read(AT_FDCWD, "/sys/devices/system/cpu/online", online, sizeof online);
	else if (strcmp(file, "cpuset.mems") == 0)
		r = cg_read(AT_FDCWD, "/sys/devices/system/node/online", online, sizeof online);
	if (r == 0)
		err_add(e, "this machine has %s %s", is_cpus ? "processors" : "memory nodes",
			online);
}

static int sys_error(const struct cgroup_dir *dir, const char *file, const char *value, int errnum,
		     struct err *e)
{
	if (dir->fd < 0 || faccessat(dir->fd, file, W_OK, AT_EACCESS) < 0) {
		int missing = dir->fd < 0 ? ENOENT : errno;

		err_sys(e, missing, "%s %s/%s", dir->is_v2 ? "openat2" : "open", dir->path, file);
		if (missing == ENOENT)
			err_add(e,
				"the %.*s controller is not enabled here, or the kernel does not "
				"have that file",
				(int)strcspn(file, "."), file);
		return -1;
	}
	err_sys(e, errnum, "failed to write \"%s\": write %s/%s", value, dir->path, file);
	if (errnum == ERANGE || errnum == EINVAL || errnum == EACCES)
		explain_cpuset(file, e);
	return -1;
}

/* The user's own choice of a file: say what is wrong with the name first. */
static int explain_unified(const struct cgroup_dir *dir, const struct cgroup_write *w, int errnum,
			   struct err *e)
{
	size_t n = strcspn(w->file, ".");
	AUTO_FREE char *controller = xstrndup(w->file, n);
	AUTO_FREE char *padded = NULL, *word = xasprintf(" %s ", controller);
	char have[1024];

	if (errnum == ENOENT || errnum == EPERM || errnum == EACCES) {
		if (cg_read(dir->fd, "cgroup.controllers", have, sizeof have) < 0)
			have[0] = 0;
		padded = xasprintf(" %s ", have);
		if (strcmp(controller, "cgroup") != 0 && !strstr(padded, word))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "unified resource \"%s\" can't be set: controller \"%s\" "
				       "not available",
				       w->file, controller);
	}
	sys_error(dir, w->file, w->value, errnum, e);
	return err_wrap(e, "unable to set unified resource \"%s\"", w->file);
}

static int explain(const struct cgroup_dir *dir, const struct cgroup_write *w, int errnum,
		   struct err *e)
{
	bool is_other = w->other_file && faccessat(dir->fd, w->file, F_OK, 0) < 0;
	uint64_t usage, peak;

	if (w->kind == CGROUP_WRITE_UNIFIED)
		return explain_unified(dir, w, errnum, e);
	if (errnum == EBUSY && strcmp(w->file, "memory.limit_in_bytes") == 0 &&
	    cg_read_u64(dir->fd, "memory.usage_in_bytes", &usage) == 0 &&
	    cg_read_u64(dir->fd, "memory.max_usage_in_bytes", &peak) == 0)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "unable to set memory limit to %s (current usage: %" PRIu64
			       ", peak usage: %" PRIu64 ")",
			       w->value, usage, peak);
	return sys_error(dir, is_other ? w->other_file : w->file,
			 is_other ? w->other_value : w->value, errnum, e);
}

/* What a file held before, as something that can be written to it again; NULL: nothing such. */
static char *read_old(const struct cgroup_dir *dir, const struct cgroup_write *w,
		      const char **ret_file)
{
	char text[OLD_MAX];
	int r = cg_read(dir->fd, w->file, text, sizeof text);

	*ret_file = w->file;
	if (r == -ENOENT && w->other_file) {
		*ret_file = w->other_file;
		r = cg_read(dir->fd, w->other_file, text, sizeof text);
	}
	if (w->is_keyed || r < 0 || strpbrk(text, "\n=:"))
		return NULL; /* several values, by a key */
	return xstrdup(*text ? text : "\n"); /* an empty write would not even arrive */
}

struct undo {
	const struct cgroup_dir *dir;
	const char *file;
	char *old; /* NULL: nothing to put back */
};

static void undo_all(struct undo *v, size_t n)
{
	while (n-- > 0) /* backwards: pairs of limits must stay in order */
		if (v[n].old)
			(void)cg_write(v[n].dir->fd, v[n].file, v[n].old); /* best effort */
}

static int do_write(const struct cgroup_dir *dir, const struct cgroup_write *w, bool may_wait,
		    bool *ret_wait, struct err *e)
{
	int r = write_one(dir, w);

	*ret_wait = r == -EINVAL && may_wait;
	if (*ret_wait)
		return 0;
	if (r < 0)
		return explain(dir, w, -r, e);
	return w->kind == CGROUP_WRITE_SHARES ? check_shares(dir, w, e) : 0;
}

static int find_dir(const struct cgroup *cg, const struct cgroup_write *w,
		    const struct cgroup_dir **ret, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, w->controller);

	*ret = dir;
	if ((dir && dir->fd >= 0) || w->may_miss)
		return 0;
	if (dir)
		return sys_error(dir, w->file, w->value, ENOENT, e);
	return err_set(e, ERR_FAILED_PRECONDITION,
		       "cannot set %s limit: container could not join or create cgroup",
		       cgroup_controller_name(w->controller));
}

/* Some pairs are only accepted in an order that depends on the values before (memory and
 * memory+swap, period and quota, quota and burst): what is refused as invalid is tried again
 * behind the rest.  Each pass must get something done. */
static int write_all(const struct cgroup *cg, const struct cgroup_plan *p, struct undo *undo,
		     size_t *n_undo, struct err *e)
{
	AUTO_FREE bool *is_done = xcalloc(p->n + 1, sizeof *is_done);
	size_t n_left = p->n, n_before;

	do {
		n_before = n_left;
		n_left = 0;
		for (size_t i = 0; i < p->n; i++) {
			const struct cgroup_write *w = &p->v[i];
			const struct cgroup_dir *dir;
			bool must_wait = false;

			if (is_done[i])
				continue;
			if (find_dir(cg, w, &dir, e) < 0)
				return -1;
			if (undo) {
				struct undo *u = &undo[(*n_undo)++];

				u->dir = dir;
				u->old = dir ? read_old(dir, w, &u->file) : NULL;
			}
			if (dir && dir->fd >= 0 &&
			    do_write(dir, w, n_before > 1, &must_wait, e) < 0)
				return -1;
			if (must_wait && undo)
				free(undo[--*n_undo].old);
			is_done[i] = !must_wait;
			n_left += must_wait;
		}
	} while (n_left && n_left < n_before);
	if (!n_left)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		if (!is_done[i])
			return explain(cgroup_find(cg, p->v[i].controller), &p->v[i], EINVAL, e);
	BUG("a write that is left and done");
}

int cgroup_check_usage(const struct cgroup *cg, const struct cgroup_plan *p, struct err *e)
{
	const struct cgroup_dir *dir = cgroup_find(cg, CG_MEMORY);
	uint64_t usage;

	if (!p->check_limit && !p->check_swap)
		return 0;
	if (!dir || dir->fd < 0 || cg_read_u64(dir->fd, "memory.current", &usage) < 0)
		return 0; /* new, or without a controller: nothing is in use */
	if (p->check_swap && p->check_swap <= usage)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "rejecting memory+swap limit %" PRIu64 " <= usage %" PRIu64,
			       p->check_swap, usage);
	if (p->check_limit && p->check_limit <= usage)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "rejecting memory limit %" PRIu64 " <= usage %" PRIu64,
			       p->check_limit, usage);
	return 0;
}

int cgroup_apply_plan(const struct cgroup *cg, const struct cgroup_plan *p, bool undo_on_failure,
		      struct err *e)
{
	AUTO_FREE struct undo *undo =
		undo_on_failure ? xcalloc(p->n + 1, sizeof(struct undo)) : NULL;
	size_t n_undo = 0;
	int r;

	if (cgroup_check_usage(cg, p, e) < 0)
		return -1;
	r = write_all(cg, p, undo, &n_undo, e);
	if (!undo)
		return r;
	if (r < 0)
		undo_all(undo, n_undo);
	for (size_t i = 0; i < n_undo; i++)
		free(undo[i].old);
	return r;
}
