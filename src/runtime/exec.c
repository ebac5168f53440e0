/* One more process in a running container: the caller's side, and the child's. */
#include "base/log.h"
#include "os/clone.h"
#include "os/pidfd.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "runtime/birth.h"
#include "runtime/lsm.h"
#include "runtime/process.h"
#include "runtime/procfs.h"
#include "runtime/rootless.h"
#include "runtime/state.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const char *const ns_files[OCI_NS_COUNT] = {
	[OCI_NS_PID] = "pid",   [OCI_NS_NETWORK] = "net",   [OCI_NS_MOUNT] = "mnt",
	[OCI_NS_IPC] = "ipc",   [OCI_NS_UTS] = "uts",       [OCI_NS_USER] = "user",
	[OCI_NS_TIME] = "time", [OCI_NS_CGROUP] = "cgroup",
};

/* The user namespace first: it gives the rights to the others; the mount namespace last. */
static const enum oci_ns join_order[] = {
	OCI_NS_USER, OCI_NS_PID,    OCI_NS_NETWORK, OCI_NS_IPC,
	OCI_NS_UTS,  OCI_NS_CGROUP, OCI_NS_TIME,    OCI_NS_MOUNT,
};

enum { MADE_MS = 1000 }; /* a creation takes a few; one with a hook that calls us, for ever */

struct execution {
	const struct runtime_exec *x;
	struct arena *arena;
	struct state state;
	struct plan_process process;
	struct strv warnings;
	struct seccomp_filter seccomp;
	struct launch_end end;
	struct cgroup *cgroup, *own; /* the container's, and where the process goes */
	struct birth birth;
	int init; /* pidfd of the container's first process */
	bool is_rootless; /* forgiven: a cgroup that we may not enter */
	bool in_two_steps; /* we could not come back from its pid namespace */
};

static void execution_done(struct execution *k)
{
	birth_done(&k->birth);
	close_fd(&k->init);
	close_fd(&k->end.procfd);
	close_fd(&k->end.sync);
	close_fd(&k->end.host_ptmx);
	cgroup_free(k->own);
	cgroup_free(k->cgroup);
	seccomp_filter_done(&k->seccomp);
	state_done(&k->state);
	strv_done(&k->warnings);
	arena_free(k->arena);
}

/* One namespace of init, by its file: after the look the pid can't have been another's before. */
static int open_ns(const struct execution *k, enum oci_ns ns, struct err *e)
{
	char path[48];

	snprintf(path, sizeof path, "%d/ns/%s", (int)k->state.init_pid, ns_files[ns]);
	AUTO_FD int fd = openat(k->end.procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open /proc/%s", path);
	if (pidfd_wait_end(k->init, 0) == 0)
		return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
	return TAKE_FD(fd);
}

/* Before 5.8, and where our handle is no pidfd.  All are opened before the first is joined. */
static int join_one_by_one(const struct execution *k, int flags, struct err *e)
{
	int fds[ARRAY_LEN(join_order)], r = 0;
	size_t n = 0;

	for (; r == 0 && n < ARRAY_LEN(join_order); n++) {
		bool is_wanted = (uint64_t)flags & plan_ns_flag(join_order[n]);

		fds[n] = is_wanted ? open_ns(k, join_order[n], e) : -1;
		r = is_wanted && fds[n] < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (r == 0 && fds[i] >= 0 && setns(fds[i], (int)plan_ns_flag(join_order[i])) < 0)
			r = err_sys(e, errno, "join the container's %s namespace",
				    ns_files[join_order[i]]);
		close_fd(&fds[i]);
	}
	return r;
}

/* By pidfd in one call where the kernel can (5.8). */
static int join(const struct execution *k, struct err *e)
{
	/* the parent was in the pid namespace when it cloned us, unless it may not */
	uint64_t done = k->in_two_steps ? 0 : CLONE_NEWPID;
	int flags = (int)(k->state.ns & ~done);

	if (flags && setns(k->init, flags) < 0 && join_one_by_one(k, flags, e) < 0)
		return -1;
	if (!(k->state.ns & CLONE_NEWUSER))
		return 0;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ||
	    (!k->end.keeps_groups && setgroups(0, NULL) < 0))
		return err_sys(e, errno, "become root in the user namespace");
	return 0;
}

/* Only root may join a pid namespace before its user namespace, and it takes hold of children
 * only: a user's first child joins both, and goes on as a child of its own. */
static int clone_successor(const struct execution *k, struct err *e)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
	};
	int pid = clone_process(&args);

	if (pid < 0)
		return err_sys(e, -pid, "clone3 in the container's namespaces");
	if (pid == 0) {
		if (setsid() < 0) /* the one of process_begin() is our parent's: it leads, not we */
			return err_sys(e, errno, "setsid");
		/* what we say must not come before the word about us */
		return stage_wait(k->end.sync, STAGE_GO, e);
	}
	if (stage_send_child(k->end.sync, pid, pidfd, e) < 0)
		return -1;
	_exit(0);
}

/* Without a mount namespace of its own the container is where its init is, by chroot. */
static int enter_root(const struct execution *k, struct err *e)
{
	char path[32];

	if (k->state.ns & CLONE_NEWNS)
		return 0;
	snprintf(path, sizeof path, "%d/root", (int)k->state.init_pid);
	AUTO_FD int fd = openat(k->end.procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "open the container's root");
	/* the number is init's only as long as init lives */
	int r = pidfd_signal(k->init, 0);
	if (r < 0)
		return err_sys(e, -r, "open the container's root");
	if (fchdir(fd) < 0 || chroot(".") < 0)
		return err_sys(e, errno, "enter the container's root");
	return 0;
}

static int exec_prepare(const struct execution *k, char **ret_path, struct err *e)
{
	if (process_begin(&k->end, e) < 0 || join(k, e) < 0 ||
	    (k->in_two_steps && clone_successor(k, e) < 0) || enter_root(k, e) < 0 ||
	    (!k->state.no_new_keyring && process_join_keyring(k->state.pub.id, e) < 0))
		return -1;
	AUTO_FD int rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(e, errno, "open the container's root");
	umask(0022);
	if (process_connect(&k->end, rootfd, false, e) < 0)
		return -1;
	return process_become(&k->end, TAKE_FD(rootfd), ret_path, e);
}

static int enter_cgroup(const struct execution *k, struct err *e)
{
	if (k->birth.enters && cgroup_enter(k->own, k->birth.in_cgroup, e) < 0)
		return err_wrap(e, "error adding a process to cgroups");
	return 0;
}

static void exec_main(const struct execution *k) NORETURN;
static void exec_main(const struct execution *k)
{
	struct err e = { 0 };
	char *path = NULL;

	log_debug(LOG_NONE,
		  "child process in init()"); /* the only line from in here: see init_main() */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* before anybody in there can see us */
	if (enter_cgroup(k, &e) == 0 && exec_prepare(k, &path, &e) == 0 &&
	    stage_say(k->end.sync, STAGE_READY, 0, &e) == 0 &&
	    stage_wait(k->end.sync, STAGE_START, &e) == 0)
		process_execute(&k->end, path, &e);
	stage_send_failed(k->end.sync, &e);
	_exit(1);
}

static int check_status(const struct execution *k, struct err *e)
{
	switch (k->state.pub.status) {
	case RUNTIME_CREATING: /* its namespaces have the host's root in them */
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "cannot exec in a container that is being created");
	case RUNTIME_STOPPED:
		return err_set(e, ERR_FAILED_PRECONDITION, "cannot exec in a stopped container");
	case RUNTIME_PAUSED:
		if (!k->x->ignore_paused)
			return err_set(e, ERR_FAILED_PRECONDITION,
				       "cannot exec in a paused container (use --ignore-paused to "
				       "override)");
		return 0;
	default:
		return 0;
	}
}

static int open_container(struct execution *k, const struct runtime *rt, struct err *e)
{
	k->end.procfd = procfs_open(e);
	if (k->end.procfd < 0 ||
	    state_load(rt, k->arena, k->x->id, k->end.procfd, &k->state, e) < 0 ||
	    state_wait_made(&k->state, k->end.procfd, MADE_MS, e) < 0 || check_status(k, e) < 0)
		return -1;
	k->init = state_open_init(&k->state, k->end.procfd, e);
	if (k->init < 0)
		return -1;
	k->is_rootless = rt->rootless;
	k->in_two_steps = (k->state.ns & CLONE_NEWPID) && !birth_may_join_pid();
	k->end.keeps_groups = k->state.ns & CLONE_NEWUSER &&
			      rootless_has_no_groups(k->end.procfd, k->state.init_pid);
	if (cgroup_load(&k->state.pub.cgroup_paths, &k->cgroup, e) < 0)
		return -1;
	cgroup_use_unit(k->cgroup, &k->state.unit);
	return cgroup_for_exec(k->cgroup, &k->x->cgroups, k->state.init_pid, &k->own, e);
}

static int prepare(struct execution *k, const struct runtime *rt, struct err *e)
{
	if (open_container(k, rt, e) < 0 ||
	    plan_process(k->arena, k->x->process, &k->process, &k->warnings, e) < 0)
		return -1;
	if (!k->process.caps.is_set)
		k->process.caps = k->state.caps;
	/* one that says nothing of them would have those of whoever calls us: none */
	if (!k->process.apparmor)
		k->process.apparmor = k->state.apparmor;
	if (!k->process.selinux)
		k->process.selinux = k->state.selinux;
	if (lsm_check(&k->process, NULL, e) < 0)
		return -1;
	tune_inherit(&k->process.tune, &k->state.tune);
	if (k->state.ns & CLONE_NEWUSER)
		k->end.rlimits = LAUNCH_RLIMITS_FIRST;
	k->end.keep_processors = k->process.tune.initial.text || k->process.tune.final.text;
	for (size_t i = 0; i < k->warnings.n; i++)
		log_warn(LOG({ "id", k->x->id }), "%s", k->warnings.v[i]);
	if (birth_prepare_io(&k->process, &k->x->io, &k->birth, &k->end.host_ptmx, e) < 0)
		return -1;
	if (state_load_seccomp(&k->state, &k->seccomp, e) < 0)
		return -1;
	k->birth.listener = (struct birth_listener){ .path = k->state.listener_path,
						     .metadata = k->state.listener_metadata,
						     .state = &k->state.pub };
	return 0;
}

/* Initial processors are those before the process enters the cgroup: it is not born there. */
static int birth_cgroup(const struct execution *k)
{
	if (k->process.tune.initial.text || (cgroup_can_enter(k->own) && !k->birth.enters))
		return -1;
	return cgroup_dirfd(k->own);
}

/* Whether the process goes into its cgroup by itself.  Initial processors are set before that, and
 * final ones after it, from here. */
static bool may_enter(const struct execution *k)
{
	return cgroup_can_enter(k->own) && !k->is_rootless && !k->in_two_steps &&
	       !k->process.tune.initial.text && !k->process.tune.final.text;
}

/* In runc's words, which say it of the child that inherits them. */
static void log_initial(const struct execution *k)
{
	const struct tune_set *s = &k->process.tune.initial;
	size_t n = ARRAY_LEN(s->bits);
	AUTO_STR struct str mask = STR_INIT(4096);

	while (n > 1 && !s->bits[n - 1])
		n--;
	str_addf(&mask, "%lx", s->bits[n - 1]);
	while (--n)
		str_addf(&mask, "%0*lx", (int)(2 * sizeof *s->bits), s->bits[n - 1]);
	log_debug(LOG({ "id", k->x->id }), "nsexec-0[%d]: affinity: 0x%s", (int)getpid(),
		  str_c(&mask));
}

/* Ours, for as long as it takes to have a child that inherits them. */
static int start_processors(const struct execution *k, struct tune_set *ret_before, struct err *e)
{
	const struct tune_set *initial = &k->process.tune.initial;
	int r = 0;

	if (!initial->text)
		return 0;
	r = tune_get_processors(ret_before);
	if (r == 0)
		r = tune_set_processors(0, initial);
	if (r < 0)
		return err_sys(e, -r, "error setting initial CPU affinity");
	log_initial(k);
	return 0;
}

static int give_birth(struct execution *k, struct err *e)
{
	bool joins_pid = (k->state.ns & CLONE_NEWPID) && !k->in_two_steps;
	AUTO_FD int pidns = joins_pid ? open_ns(k, OCI_NS_PID, e) : -1;
	int pair[2];

	if ((joins_pid && pidns < 0) || stage_pair(pair, e) < 0)
		return -1;
	k->birth.sync = pair[0];
	k->end.sync = pair[1];
	struct tune_set before;
	if (start_processors(k, &before, e) < 0) {
		close(pair[1]);
		k->end.sync = -1;
		return -1;
	}
	/* runc's words, as for a container's first process */
	log_debug(LOG({ "id", k->x->id }), "nsexec container setup: clone3 and setns");
	k->birth.enters = may_enter(k);
	int r = birth_clone(&k->birth, 0, birth_cgroup(k), pidns, e);
	/* Without the right to move processes there, rootless stays where we are, as with runc. */
	if (r < 0 && k->is_rootless && (e->errnum == EACCES || e->errnum == EPERM)) {
		err_clear(e);
		r = birth_clone(&k->birth, 0, -1, pidns, e);
	}
	if (r == 0) {
		close(k->birth.sync); /* so that our parent's death is an end of file */
		exec_main(k);
	}
	if (k->process.tune.initial.text)
		(void)tune_set_processors(0, &before); /* where we were a moment ago */
	close_fd(&k->end.sync);
	k->end.sync = -1;
	return r < 0 ? -1 : 0;
}

static int join_rdt(const struct execution *k, struct err *e)
{
	AUTO_FD int root = rdt_open(e);

	return root < 0 ? -1 : rdt_attach(root, &k->state.rdt, k->birth.pid, e);
}

/* What the process may not, or no longer, do to itself. */
static int set_from_outside(struct execution *k, struct err *e)
{
	if (k->process.tune.final.text) {
		int r = tune_set_processors(k->birth.pid, &k->process.tune.final);

		if (r < 0)
			return err_sys(e, -r, "error setting final CPU affinity");
	}
	if (k->state.rdt.group && join_rdt(k, e) < 0)
		return err_wrap(e, "error adding pid %d to Intel RDT", (int)k->birth.pid);
	return process_set_oom_score(k->end.procfd, k->birth.pid, &k->process, e);
}

static int start_process(struct execution *k, struct steps *steps, struct err *e)
{
	enum stage step;

	steps_begin(steps, STEPS_RUNTIME, "clone");
	if (give_birth(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "cgroups and limits");
	bool is_placed = k->birth.enters || k->birth.in_cgroup;
	if (!is_placed && cgroup_attach(k->own, k->birth.pid, e) < 0) {
		if (!k->is_rootless || (e->errnum != EACCES && e->errnum != EPERM))
			return err_wrap(e, "error adding pid %d to cgroups", (int)k->birth.pid);
		err_clear(e);
	}
	if (k->in_two_steps && birth_adopt(&k->birth, e) < 0)
		return -1;
	if (set_from_outside(k, e) < 0 ||
	    (k->in_two_steps && stage_send(k->birth.sync, STAGE_GO, -1, e) < 0))
		return -1;
	bool ahead = !k->x->io.pid_file && !k->x->io.pidfd_socket && !k->birth.listener.path &&
		     k->x->io.console == RUNTIME_CONSOLE_NONE;

	steps_begin(steps, STEPS_RUNTIME, "wait for the process");
	/* it is where it belongs now, and START is what it waits for before anything runs */
	if ((ahead && birth_permit(&k->birth, e) < 0) ||
	    birth_next(&k->birth, k->x->io.console, &step, e) < 0)
		return -1;
	if (step != STAGE_READY)
		return err_set(e, ERR_INTERNAL, "unexpected start stage %d", step);
	log_debug(LOG({ "id", k->x->id }), "setns_init: about to exec");
	if (birth_send_pidfd(&k->birth, "setns", e) < 0 ||
	    birth_write_pid_file(k->x->io.pid_file, k->birth.pid, e) < 0)
		return -1;
	if (!ahead && birth_permit(&k->birth, e) < 0)
		return -1;
	return birth_started(&k->birth, e);
}

int runtime_exec(const struct runtime *rt, const struct runtime_exec *x,
		 struct runtime_process *ret, struct err *e)
{
	CLEANUP(execution_done)
	struct execution k = {
		.x = x,
		.arena = arena_new(),
		.state = STATE_NONE,
		.birth = BIRTH_NONE,
		.init = -1,
		.end = { .procfd = -1, .sync = -1, .host_ptmx = -1, .fifo = -1, .io = &x->io },
	};

	*ret = RUNTIME_PROCESS_NONE;
	k.end.process = &k.process;
	k.end.seccomp = &k.seccomp;
	steps_begin(rt->steps, STEPS_RUNTIME, "state and plan");
	if (prepare(&k, rt, e) < 0)
		return -1;
	if (start_process(&k, rt->steps, e) < 0 && birth_explain(&k.birth, e) < 0)
		return err_wrap(e, "unable to start container process");
	birth_take(&k.birth, ret);
	return 0;
}
