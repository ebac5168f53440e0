/* What is done to a container that exists, by whoever knows its id. */
#include "base/ident.h"
#include "base/log.h"
#include "os/pidfd.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "runtime/hooks.h"
#include "runtime/procfs.h"
#include "runtime/state.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

/* An open container: what each call begins with and ends with. */
struct open_container {
	struct arena *arena;
	int procfd;
	struct state state;
	struct cgroup *cgroup; /* NULL until asked for */
};

static void container_close(struct open_container *o)
{
	cgroup_free(o->cgroup);
	state_done(&o->state);
	close_fd(&o->procfd);
	arena_free(o->arena);
}
#define AUTO_CONTAINER CLEANUP(container_close)

static int container_open(const struct runtime *rt, const char *id, struct open_container *o,
			  struct err *e)
{
	o->procfd = procfs_open(e);
	if (o->procfd < 0)
		return -1;
	o->arena = arena_new();
	return state_load(rt, o->arena, id, o->procfd, &o->state, e);
}
#define CONTAINER_NONE ((struct open_container){ .procfd = -1, .state = { .dirfd = -1 } })

static int open_cgroup(struct open_container *o, struct err *e)
{
	if (cgroup_load(&o->state.pub.cgroup_paths, &o->cgroup, e) < 0)
		return -1;
	cgroup_use_unit(o->cgroup, &o->state.unit);
	return 0;
}

static int run_poststart(const struct open_container *o, struct steps *steps, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(RUNTIME_STATE_TEXT_MAX);
	struct runtime_state s = o->state.pub;

	s.status = RUNTIME_RUNNING;
	runtime_state_json(&s, &out);
	return hooks_run(&o->state.poststart, HOOKS_AT("poststart", steps, STEPS_RUNTIME),
			 str_c(&out), s.bundle, e);
}

/* The container is gone whatever they say: a failing hook is a warning, and the next one runs
 * (spec, Lifecycle). */
static void run_poststop(const struct open_container *o, struct steps *steps)
{
	const struct oci_hook_list *l = &o->state.poststop;
	AUTO_STR struct str out = STR_INIT(RUNTIME_STATE_TEXT_MAX);
	struct runtime_state s = o->state.pub;

	s.status = RUNTIME_STOPPED;
	s.pid = 0;
	if (l->n)
		runtime_state_json(&s, &out);
	for (size_t i = 0; i < l->n; i++) {
		struct err e = { 0 };

		if (hooks_run_one(l, i, HOOKS_AT("poststop", steps, STEPS_RUNTIME), str_c(&out),
				  s.bundle, &e) < 0)
			log_warn(LOG({ "id", s.id }), "%s", e.msg);
	}
}

static int signal_init(const struct open_container *o, int sig, struct err *e)
{
	AUTO_FD int pidfd = state_open_init(&o->state, o->procfd, e);

	if (pidfd < 0)
		return -1;
	int r = pidfd_signal(pidfd, sig);
	if (r == -ESRCH)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	if (r < 0)
		return err_sys(e, -r, "unable to signal init");
	return 0;
}

/* The last reader of the fifo is init, which has it close-on-exec (or ends). */
static void wait_for_execve(int fifo)
{
	struct pollfd p = { .fd = fifo };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

static int start(struct open_container *o, struct steps *steps, struct err *e)
{
	int dirfd = o->state.dirfd;

	if (o->state.pub.status == RUNTIME_STOPPED)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot start a container that has stopped");
	if (o->state.pub.status == RUNTIME_CREATING)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot start a container that is being created");
	if (o->state.pub.status != RUNTIME_CREATED)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot start an already running container");
	AUTO_FD int fifo =
		openat(dirfd, STATE_FIFO, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fifo < 0 && errno == ENXIO)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot start a container that has stopped");
	/* Of several callers, one takes the name away: that one starts it. */
	if (fifo < 0 || unlinkat(dirfd, STATE_FIFO, 0) < 0)
		return errno == ENOENT ? err_set(e, ERR_FAILED_PRECONDITION,
						 "cannot start an already running container")
				       : err_sys(e, errno, "open " STATE_FIFO);
	steps_begin(steps, STEPS_RUNTIME, "execve");
	if (write(fifo, "", 1) != 1) {
		(void)err_sys(e, errno, "start container %s", o->state.pub.id);
	} else {
		if (!o->state.poststart.n)
			return 0;
		wait_for_execve(fifo);
		if (run_poststart(o, steps, e) == 0)
			return 0;
	}
	/* the spec: an error, and the container is stopped */
	struct err ignored = { 0 };
	(void)signal_init(o, SIGKILL, &ignored); /* it may have ended */
	return -1;
}

int runtime_start(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	return container_open(rt, id, &o, e) < 0 ? -1 : start(&o, rt->steps, e);
}

int runtime_start_now(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	if (container_open(rt, id, &o, e) < 0)
		return -1;
	if (o.state.poststart.n)
		return 0;
	return start(&o, rt->steps, e) < 0 ? -1 : 1;
}

/* Without a pid namespace of its own, init's death ends nobody else, who may also outlive it. */
static int kill_everybody(struct open_container *o, struct err *e)
{
	AUTO_CGROUP_PIDS struct cgroup_pids pids = { 0 };

	if (open_cgroup(o, e) < 0 || cgroup_list_pids(o->cgroup, &pids, e) < 0)
		return -1;
	if (o->state.pub.status == RUNTIME_STOPPED && !pids.n)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	return cgroup_kill(o->cgroup, SIGKILL, e);
}

int runtime_kill(const struct runtime *rt, const char *id, int sig, bool all, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	if (container_open(rt, id, &o, e) < 0)
		return -1;
	if (all) {
		if (open_cgroup(&o, e) < 0)
			return -1;
		return cgroup_kill(o.cgroup, sig, e);
	}
	/* rootless, there may be no cgroup of its own */
	if (sig == SIGKILL && !(o.state.ns & CLONE_NEWPID) &&
	    (!rt->rootless || o.state.pub.cgroup_paths.n))
		return kill_everybody(&o, e);
	if (o.state.pub.status == RUNTIME_STOPPED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	if (signal_init(&o, sig, e) < 0)
		return -1;
	/* A frozen process can't die: thaw for a signal that must be obeyed. */
	if (sig == SIGKILL && o.state.pub.status == RUNTIME_PAUSED) {
		if (open_cgroup(&o, e) < 0)
			return -1;
		return cgroup_thaw(o.cgroup, e);
	}
	return 0;
}

/* SIGKILL for init and the rest, then bounded waiting for init: its pid namespace dies with it. */
static int kill_and_wait(struct open_container *o, struct err *e)
{
	struct err ignored = { 0 };
	AUTO_FD int pidfd = state_open_init(&o->state, o->procfd, &ignored);

	if (pidfd >= 0)
		(void)pidfd_signal(pidfd, SIGKILL); /* it may just have ended */
	if (cgroup_kill(o->cgroup, SIGKILL, e) < 0)
		return -1;
	if (pidfd >= 0 && pidfd_wait_end(pidfd, 10000) == -ETIMEDOUT)
		return err_set(e, ERR_DEADLINE_EXCEEDED, "container init still running");
	return 0;
}

/* A folder without a state file: a creation or a deletion that was killed in the middle. */
static int remove_remains(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_CGROUP struct cgroup *cg = NULL;
	struct oci_pairs places;

	if (!ident_is_runc_id(id))
		return 0;
	AUTO_FD int rootfd = open(rt->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int dirfd = openat(rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return 0;
	if (state_load_places(dirfd, a, &places, e) < 0 || cgroup_load(&places, &cg, e) < 0 ||
	    cgroup_kill(cg, SIGKILL, e) < 0 || cgroup_destroy(cg, e) < 0)
		return err_wrap(e, "clear up what is left of container %s", id);
	return state_remove_dir(rt->root, id, e);
}

static void remove_rdt(const struct rdt_state *s)
{
	struct err ignored = { 0 };
	AUTO_FD int root = rdt_open(&ignored); /* unmounted since: its groups went with it */

	if (root >= 0)
		rdt_remove(root, s);
}

static int delete_open(const struct runtime *rt, const char *id, struct open_container *o,
		       bool force, struct err *e)
{
	steps_begin(rt->steps, STEPS_RUNTIME, "processes");
	if (o->state.pub.status != RUNTIME_STOPPED) {
		/* A created one has not run anything of the user's: it may go without force. */
		if (!force && o->state.pub.status != RUNTIME_CREATED)
			return err_set(e, ERR_FAILED_PRECONDITION,
				       "cannot delete container %s that is not stopped: %s", id,
				       runtime_status_names[o->state.pub.status]);
		if (kill_and_wait(o, e) < 0)
			return -1;
	} else if ((force || !(o->state.ns & CLONE_NEWPID)) &&
		   cgroup_kill(o->cgroup, SIGKILL, e) < 0) {
		return -1; /* init's death ended nobody else in a shared pid namespace */
	}
	if (o->state.rdt.group)
		remove_rdt(&o->state.rdt);
	steps_begin(rt->steps, STEPS_RUNTIME, "cgroups");
	if (cgroup_destroy(o->cgroup, e) < 0)
		return err_wrap(e, "unable to remove container cgroup");
	steps_begin(rt->steps, STEPS_RUNTIME, "state folder");
	if (state_remove_dir(rt->root, id, e) < 0)
		return -1;
	run_poststop(o, rt->steps);
	return 0;
}

/* While it is still being created it cannot be told whose it is: waits for the end of that.  1:
 * there is no such container, but maybe what is left of one. */
static int open_for_deletion(const struct runtime *rt, const char *id, struct open_container *o,
			     bool *ret_is_made, struct err *e)
{
	enum { CREATION_MS = 10000 };

	*ret_is_made = true;
	if (container_open(rt, id, o, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	if (!ident_is_runc_id(id))
		return 1;
	*ret_is_made = state_wait_folder_made(rt->root, id, CREATION_MS) == 0;
	if (container_open(rt, id, o, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 1;
}

/* To the caller there is none; what a killed deletion left goes all the same, unless it is one that
 * is being made. */
static int not_found(const struct runtime *rt, const char *id, const struct err *e)
{
	struct err ignored = { 0 };

	if (e->code == ERR_NOT_FOUND && state_wait_folder_made(rt->root, id, 0) == 0)
		(void)remove_remains(rt, id, &ignored); /* the caller is told what it asked for */
	return -1;
}

int runtime_delete(const struct runtime *rt, const char *id, bool force, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;
	bool ignored;
	int r;

	if (!force) {
		if (container_open(rt, id, &o, e) < 0)
			return not_found(rt, id, e);
	} else if ((r = open_for_deletion(rt, id, &o, &ignored, e)) != 0) {
		return r < 0 ? -1 : remove_remains(rt, id, e);
	}
	return open_cgroup(&o, e) < 0 ? -1 : delete_open(rt, id, &o, force, e);
}

bool runtime_delete_now(const struct runtime *rt, const char *id)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;
	const struct state *s = &o.state;
	struct err e = { 0 };

	steps_begin(rt->steps, STEPS_RUNTIME, "cgroups");
	return container_open(rt, id, &o, &e) == 0 && s->pub.status == RUNTIME_STOPPED &&
	       (s->ns & CLONE_NEWPID) && !s->poststop.n && !s->rdt.group &&
	       open_cgroup(&o, &e) == 0 && cgroup_destroy_now(o.cgroup) &&
	       state_remove_dir(rt->root, id, &e) == 0;
}

int runtime_delete_of(const struct runtime *rt, const char *id, const char *bundle, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;
	bool is_made;
	int r = open_for_deletion(rt, id, &o, &is_made, e);

	if (r > 0 && !is_made)
		return err_set(e, ERR_FAILED_PRECONDITION, "container %s is being created", id);
	if (r != 0)
		return r < 0 ? -1 : remove_remains(rt, id, e);
	if (strcmp(o.state.pub.bundle, bundle) != 0)
		return 0;
	return open_cgroup(&o, e) < 0 ? -1 : delete_open(rt, id, &o, true, e);
}

int runtime_delete_ended(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	if (container_open(rt, id, &o, e) < 0)
		return -1;
	if (o.state.pub.status != RUNTIME_STOPPED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container %s is not stopped: %s", id,
			       runtime_status_names[o.state.pub.status]);
	return open_cgroup(&o, e) < 0 ? -1 : delete_open(rt, id, &o, false, e);
}

struct runtime_end {
	struct open_container o;
};

struct runtime_end *runtime_end_expect(const struct runtime *rt, const char *id)
{
	struct runtime_end *end = NEW(struct runtime_end);
	struct err ignored = { 0 }; /* who deletes it will tell */

	end->o = CONTAINER_NONE;
	if (container_open(rt, id, &end->o, &ignored) == 0 && open_cgroup(&end->o, &ignored) == 0)
		return end;
	container_close(&end->o);
	free(end);
	return NULL;
}

int runtime_end_delete(const struct runtime *rt, const char *id, struct runtime_end *end,
		       bool was_seen, struct err *e)
{
	struct stat st;
	int r;

	/* somebody else may have deleted it, and made another one of that name */
	if (!end || !was_seen || fstat(end->o.state.dirfd, &st) < 0 || st.st_nlink == 0) {
		r = runtime_delete(rt, id, false, e);
	} else {
		end->o.state.pub.status = RUNTIME_STOPPED;
		end->o.state.pub.pid = 0;
		r = delete_open(rt, id, &end->o, false, e);
	}
	if (end)
		container_close(&end->o);
	free(end);
	return r;
}

int runtime_pause(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	if (container_open(rt, id, &o, e) < 0)
		return -1;
	if (o.state.pub.status != RUNTIME_RUNNING && o.state.pub.status != RUNTIME_CREATED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	return open_cgroup(&o, e) < 0 ? -1 : cgroup_freeze(o.cgroup, e);
}

int runtime_resume(const struct runtime *rt, const char *id, struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;

	if (container_open(rt, id, &o, e) < 0)
		return -1;
	if (o.state.pub.status != RUNTIME_PAUSED)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not paused");
	return open_cgroup(&o, e) < 0 ? -1 : cgroup_thaw(o.cgroup, e);
}

int runtime_pids(const struct runtime *rt, const char *id, pid_t **ret, size_t *ret_n,
		 struct err *e)
{
	AUTO_CONTAINER struct open_container o = CONTAINER_NONE;
	struct cgroup_pids pids = { 0 };

	if (container_open(rt, id, &o, e) < 0 || open_cgroup(&o, e) < 0)
		return -1;
	if (cgroup_list_pids(o.cgroup, &pids, e) < 0)
		return -1;
	*ret = pids.v;
	*ret_n = pids.n;
	return 0;
}

int runtime_state(const struct runtime *rt, struct arena *a, const char *id,
		  struct runtime_state *ret, struct err *e)
{
	AUTO_STATE struct state s = STATE_NONE;
	AUTO_FD int procfd = procfs_open(e);

	if (procfd < 0 || state_load(rt, a, id, procfd, &s, e) < 0)
		return -1;
	*ret = s.pub;
	return 0;
}

static int by_id(const void *x, const void *y)
{
	const struct runtime_state *a = x, *b = y;

	return strcmp(a->id, b->id);
}

int runtime_list(const struct runtime *rt, struct arena *a, struct runtime_state **ret,
		 size_t *ret_n, struct err *e)
{
	DIR *dir = opendir(rt->root);
	struct runtime_state *list = NULL;
	size_t n = 0, cap = 0;
	struct dirent *d;

	*ret = NULL;
	*ret_n = 0;
	if (!dir)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", rt->root);
	while ((d = readdir(dir))) {
		struct err why = { 0 };

		if (d->d_type == DT_REG || !ident_is_runc_id(d->d_name) ||
		    strcmp(d->d_name, STATE_SECCOMP_CACHE) == 0)
			continue;
		GROW(list, n, cap);
		if (runtime_state(rt, a, d->d_name, &list[n], &why) == 0)
			n++;
		else if (why.code != ERR_NOT_FOUND) /* one that is being made or deleted */
			log_warn(LOG({ "id", d->d_name }), "load container: %s, skipping", why.msg);
	}
	closedir(dir);
	if (n)
		qsort(list, n, sizeof *list, by_id);
	*ret = n ? arena_memdup(a, list, n * sizeof *list) : NULL;
	*ret_n = n;
	free(list);
	return 0;
}
