/* runtime_create and runtime_run: from the clone on, on the caller's side. */
#include "base/log.h"
#include "os/process_record.h"
#include "os/steps.h"
#include "os/syscall.h"
#include "runtime/creation.h"
#include "runtime/hooks.h"
#include "runtime/process.h"
#include "runtime/procfs.h"
#include "runtime/rootless.h"
#include "runtime/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

static char *state_text(struct creation *k, enum runtime_status status, pid_t pid)
{
	AUTO_STR struct str out = STR_INIT(RUNTIME_STATE_TEXT_MAX);
	struct runtime_state s = k->state.pub;

	s.status = status;
	s.pid = pid;
	runtime_state_json(&s, &out);
	return arena_strdup(k->arena, str_c(&out));
}

static int move_net_devices(struct creation *k, struct err *e)
{
	char path[64];

	if (!k->plan.n_net_devices)
		return 0;
	for (size_t i = 0; i < k->plan.n_joins; i++)
		if (k->plan.joins[i].type == OCI_NS_NETWORK)
			return netdev_move_all(&k->plan, k->launch.end.procfd,
					       k->launch.join_fds[i], &k->moves, e);
	snprintf(path, sizeof path, "%d/ns/net", (int)k->birth.pid);
	AUTO_FD int netns = openat(k->launch.end.procfd, path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(e, errno, "open the container's network namespace");
	return netdev_move_all(&k->plan, k->launch.end.procfd, netns, &k->moves, e);
}

static int set_oom_score(const struct creation *k, struct err *e)
{
	return process_set_oom_score(k->launch.end.procfd, k->birth.pid, &k->plan.process, e);
}

/* Nothing is left to be done about its cgroups from here. */
static bool is_placed(const struct creation *k)
{
	return k->birth.enters || k->birth.in_cgroup;
}

/* From the host's side of the new process: what it can't, or may not, do to itself. */
static int set_up_child(struct creation *k, struct err *e)
{
	const struct plan *p = &k->plan;

	if (!is_placed(k) && cgroup_attach(k->cgroup, k->birth.pid, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	if (p->uid_map && rootless_write_maps(k->launch.end.procfd, k->birth.pid, p, e) < 0)
		return -1;
	/* later, its files are not an unprivileged caller's any more */
	if (p->uid_map && set_oom_score(k, e) < 0)
		return -1;
	rootless_show_child(p, false);
	if (p->rdt &&
	    rdt_apply(k->resctrl, p->rdt, p->id, k->birth.pid, k->arena, &k->state.rdt, e) < 0)
		return err_wrap(e, "unable to apply Intel RDT configuration");
	if ((k->launch.end.rlimits == LAUNCH_RLIMITS_OUTSIDE &&
	     process_set_rlimits(k->birth.pid, &p->process, e) < 0) ||
	    (!k->launch.in_two_steps && move_net_devices(k, e) < 0) ||
	    (k->launch.go != LAUNCH_NOW && stage_send(k->birth.sync, STAGE_GO, -1, e) < 0))
		return -1;
	if (!k->launch.in_two_steps)
		return 0;
	if (birth_adopt(&k->birth, e) < 0 || move_net_devices(k, e) < 0)
		return -1;
	return stage_send(k->birth.sync, STAGE_GO, -1, e);
}

static int record_child(struct creation *k, struct err *e)
{
	int procfd = k->launch.end.procfd;
	char state;

	if (!k->plan.uid_map && set_oom_score(k, e) < 0)
		return -1;
	/* while the child makes its rootfs: it can't get to hooks or execve without us */
	if (cgroup_finish(k->cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	int r = process_start_time(procfd, k->birth.pid, &k->state.start_time, &state);
	if (r < 0)
		return err_sys(e, -r, "read the start time of process %d", (int)k->birth.pid);
	k->state.init_pid = k->birth.pid;
	/* while the child is at work: nobody waits for the disk */
	return state_write(&k->state, e);
}

/* Both sides decide it, after the clone: only then it is known where the child was born. */
static void choose_go(struct creation *k)
{
	bool is_elsewhere = !is_placed(k); /* in our cgroups, to be moved */
	struct cgroup_unit unit; /* its folders are not there before it starts, but get mounted */

	if (k->launch.end.rlimits == LAUNCH_RLIMITS_OUTSIDE || k->plan.uid_map ||
	    k->plan.time_offsets || k->launch.in_two_steps || cgroup_unit(k->cgroup, &unit) ||
	    (k->plan.has_inner_idmap && (is_elsewhere || k->plan.n_net_devices)) ||
	    (is_elsewhere && (k->plan.new_ns & CLONE_NEWCGROUP)))
		k->launch.go = LAUNCH_AT_ONCE;
	else if (is_elsewhere || k->plan.n_net_devices)
		k->launch.go = LAUNCH_BEFORE_HOOKS;
}

/* Whether the child enters its cgroups by itself; returns where it is to be born, or -1. */
static int choose_place(struct creation *k)
{
	if (!cgroup_can_enter(k->cgroup))
		return cgroup_dirfd(k->cgroup);
	if ((k->plan.all_ns & CLONE_NEWUSER) || k->launch.in_two_steps || k->rt->rootless)
		return -1;
	k->birth.enters = true;
	k->launch.enters = k->cgroup;
	return cgroup_dirfd(k->cgroup);
}

static int give_birth(struct creation *k, struct err *e)
{
	uint64_t flags = plan_clone_flags(&k->plan);
	int pair[2];

	if (k->launch.net)
		flags &= ~(uint64_t)CLONE_NEWNET;
	if (stage_pair(pair, e) < 0)
		return -1;
	k->birth.sync = pair[0];
	k->launch.end.sync = pair[1];
	int pidns = k->pidns;
	if (k->plan.process.n_rlimits && (k->plan.all_ns & CLONE_NEWUSER))
		k->launch.end.rlimits = LAUNCH_RLIMITS_OUTSIDE;
	if (k->launch.in_two_steps) { /* the first child does these itself, in the right order */
		flags = 0;
		pidns = -1;
	}
	/* Some lines of --debug are in runc's words: its tests, and those who ask for a log, look
	 * for them. */
	log_debug(LOG({ "id", k->c->id }), "nsexec container setup: clone3 with flags %#jx",
		  (uintmax_t)flags);
	rootless_show_child(&k->plan, true);
	int place = choose_place(k);
	k->birth.cgroup = k->cgroup;
	int r = birth_clone(&k->birth, flags, place, pidns, e);
	k->launch.in_cgroup = k->birth.in_cgroup;
	choose_go(k);
	if (r == 0) {
		close(k->birth.sync); /* so that our parent's death is an end of file */
		init_main(&k->launch);
	}
	close_fd(&k->launch.end.sync);
	k->launch.end.sync = -1;
	netns_handed(&k->net);
	/* The child has more to do than we: where the helper has the other processor, it goes
	 * first. */
	if (k->launch.net && k->launch.go == LAUNCH_NOW)
		(void)sched_yield();
	return r < 0 ? -1 : 0;
}

static int set_time_offsets(struct creation *k, struct err *e)
{
	char path[64];

	if (!k->plan.time_offsets)
		return err_set(e, ERR_INTERNAL, "unexpected start stage %d", STAGE_TIME);
	snprintf(path, sizeof path, "%d/timens_offsets", (int)k->birth.pid);
	if (procfs_write(k->launch.end.procfd, path, k->plan.time_offsets, e) < 0)
		return err_wrap(e, "failed to update the time namespace's offsets");
	return stage_send(k->birth.sync, STAGE_RESUME, -1, e);
}

static int set_owners(struct creation *k, size_t *next, struct err *e)
{
	AUTO_FD int tree = TAKE_FD(k->birth.tree);

	if (trees_set_owners(&k->launch, tree, next, e) < 0)
		return err_wrap(e, "error during container init");
	return stage_send(k->birth.sync, STAGE_RESUME, -1, e);
}

/* Until the child has only execve to do. */
static int accompany(struct creation *k, struct err *e)
{
	const struct oci_hooks *h = &k->c->spec->hooks;
	size_t next = 0;
	enum stage step;

	for (;;) {
		if (birth_next(&k->birth, k->c->io.console, &step, e) < 0)
			return -1;
		if (step == STAGE_READY) {
			state_made(&k->state);
			log_debug(LOG({ "id", k->c->id }),
				  "init: closing the pipe to signal completion");
			return 0;
		}
		if (step == STAGE_TIME) {
			if (set_time_offsets(k, e) < 0)
				return -1;
			continue;
		}
		if (step == STAGE_OWNERS) {
			if (set_owners(k, &next, e) < 0)
				return -1;
			continue;
		}
		if (step != STAGE_HOOKS)
			return err_set(e, ERR_INTERNAL, "unexpected start stage %d", step);
		const char *state = state_text(k, RUNTIME_CREATING, k->birth.pid);
		const char *dir = k->plan.bundle;
		struct steps *steps = k->rt->steps;
		if (hooks_run(&h->prestart, HOOKS_AT("prestart", steps, STEPS_RUNTIME), state, dir,
			      e) < 0 ||
		    hooks_run(&h->create_runtime, HOOKS_AT("createRuntime", steps, STEPS_RUNTIME),
			      state, dir, e) < 0)
			return err_wrap(e, "error during container init");
		steps_begin(steps, STEPS_RUNTIME, "wait for init");
		if (stage_send(k->birth.sync, STAGE_RESUME, -1, e) < 0)
			return -1;
	}
}

/* Nothing is left to do on our side once the child is ready: then it need not wait for us to hear
 * of it and say so. */
static bool may_start_ahead(const struct creation *k)
{
	const struct oci_hooks *h = &k->c->spec->hooks;

	return !h->prestart.n && !h->create_runtime.n && !h->create_container.n &&
	       !k->c->io.pid_file && !k->c->io.pidfd_socket && !k->plan.time_offsets &&
	       !k->plan.has_inner_idmap && !k->birth.listener.path &&
	       k->c->io.console == RUNTIME_CONSOLE_NONE;
}

static int start_process(struct creation *k, bool is_run, struct err *e)
{
	bool ahead = is_run && may_start_ahead(k);
	struct steps *steps = k->rt->steps;

	steps_begin(steps, STEPS_RUNTIME, "clone");
	if (give_birth(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "limits and state");
	if (set_up_child(k, e) < 0 || record_child(k, e) < 0)
		return -1;
	steps_begin(steps, STEPS_RUNTIME, "wait for init");
	if ((ahead && birth_permit(&k->birth, e) < 0) || accompany(k, e) < 0 ||
	    birth_send_pidfd(&k->birth, "standard", e) < 0 ||
	    birth_write_pid_file(k->c->io.pid_file, k->birth.pid, e) < 0)
		return -1;
	if (!is_run)
		return 0;
	if (!ahead && birth_permit(&k->birth, e) < 0)
		return -1;
	return birth_started(&k->birth, e);
}

/* The child's error says why; one that died without a word leaves us with less. */
static int create(const struct runtime *rt, const struct runtime_create *c, bool is_run,
		  struct runtime_process *ret, struct err *e)
{
	CLEANUP(creation_done) struct creation k;

	*ret = RUNTIME_PROCESS_NONE;
	creation_init(&k, rt, c);
	if (creation_prepare(&k, is_run, e) < 0)
		return -1;
	if (start_process(&k, is_run, e) < 0 && birth_explain(&k.birth, e) < 0)
		return err_wrap(e, "unable to start container process");
	if (is_run &&
	    hooks_run(&c->spec->hooks.poststart, HOOKS_AT("poststart", rt->steps, STEPS_RUNTIME),
		      state_text(&k, RUNTIME_RUNNING, k.birth.pid), k.plan.bundle, e) < 0)
		return -1;
	birth_take(&k.birth, ret);
	k.is_done = true;
	return 0;
}

int runtime_create(const struct runtime *rt, const struct runtime_create *c,
		   struct runtime_process *ret, struct err *e)
{
	return create(rt, c, false, ret, e);
}

int runtime_run(const struct runtime *rt, const struct runtime_create *c,
		struct runtime_process *ret, struct err *e)
{
	return create(rt, c, true, ret, e);
}
