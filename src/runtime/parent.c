/* runtime_create and runtime_run: everything on the caller's side of the fork. */
#include "base/log.h"
#include "os/file.h"
#include "os/syscall.h"
#include "runtime/birth.h"
#include "runtime/delegate.h"
#include "runtime/hooks.h"
#include "runtime/join.h"
#include "runtime/lsm.h"
#include "runtime/mount.h"
#include "runtime/mount_api.h"
#include "runtime/netdev.h"
#include "runtime/process.h"
#include "runtime/procfs.h"
#include "runtime/rootfs.h"
#include "runtime/rootless.h"
#include "runtime/state.h"
#include "runtime/trees.h"
#include "runtime/update.h"

#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* One creation.  What it holds is undone by creation_done() unless it succeeded. */
struct creation {
	const struct runtime *rt;
	const struct runtime_create *c;
	struct arena *arena;
	struct plan plan;
	struct launch launch;
	struct seccomp_filter seccomp;
	struct cgroup *cgroup;
	struct state state;
	struct birth birth;
	struct netns net;
	int pidns; /* fd of the one to join, or -1 */
	bool has_dir, is_done;
	bool is_on_host; /* no mount namespace of its own */
	uint64_t host_mount; /* then: the one that held the rootfs before */
	struct netdev_moves moves;
	int resctrl; /* fd of its root, where the spec asks for it; or -1 */
};

static void creation_init(struct creation *k, const struct runtime *rt,
			  const struct runtime_create *c)
{
	*k = (struct creation){
		.rt = rt,
		.c = c,
		.arena = arena_new(),
		.state = STATE_NONE,
		.birth = BIRTH_NONE,
		.net = NETNS_NONE,
		.moves = NETDEV_MOVES_NONE,
		.resctrl = -1,
		.pidns = -1,
		.launch = { .root_tree = -1,
			    .no_pivot = c->no_pivot,
			    .no_new_keyring = c->no_new_keyring,
			    .hooks = &c->spec->hooks,
			    .end = { .procfd = -1,
				     .sync = -1,
				     .host_ptmx = -1,
				     .fifo = -1,
				     .io = &c->io } },
	};
	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		k->launch.join_fds[i] = -1;
}

static void close_launch(struct creation *k)
{
	struct launch *l = &k->launch;

	for (size_t i = 0; i < OCI_NS_COUNT; i++)
		close_fd(&l->join_fds[i]);
	for (size_t i = 0; l->trees && i < k->plan.n_mounts; i++)
		close_fd(&l->trees[i]);
	close_fd(&l->root_tree);
	close_fd(&l->end.fifo);
	close_fd(&l->end.procfd);
	close_fd(&l->end.sync);
	close_fd(&l->end.host_ptmx);
}

static void creation_done(struct creation *k)
{
	struct err ignored = { 0 };

	birth_done(&k->birth); /* first: the cgroup can go only without it */
	netns_done(&k->net);
	if (!k->is_done && k->cgroup)
		(void)cgroup_destroy(k->cgroup, &ignored); /* the first error is the one to tell */
	err_clear(&ignored);
	if (!k->is_done && k->has_dir)
		(void)state_remove_dir(k->rt->root, k->c->id, &ignored);
	if (!k->is_done && k->resctrl >= 0)
		rdt_remove(k->resctrl, &k->state.rdt);
	close_fd(&k->resctrl);
	if (!k->is_done)
		netdev_undo(&k->moves);
	netdev_moves_done(&k->moves);
	if (!k->is_done && k->is_on_host)
		rootfs_undo(k->plan.rootfs, k->host_mount);
	close_launch(k);
	cgroup_free(k->cgroup);
	state_done(&k->state);
	seccomp_filter_done(&k->seccomp);
	plan_done(&k->plan);
	arena_free(k->arena);
}

static int make_plan(struct creation *k, struct err *e)
{
	struct plan_input in = { .id = k->c->id, .spec = k->c->spec };
	char *bundle = file_real_path(k->c->bundle);

	if (!bundle)
		return err_sys(e, errno, "open bundle %s", k->c->bundle);
	in.bundle = arena_strdup(k->arena, bundle);
	free(bundle);
	if (plan_make(k->arena, &in, &k->plan, e) < 0)
		return -1;
	for (size_t i = 0; i < k->plan.warnings.n; i++)
		log_warn(LOG({ "id", k->c->id }), "%s", k->plan.warnings.v[i]);
	if (!k->plan.has_process)
		return err_set(e, ERR_INVALID_ARGUMENT, "process property must not be empty");
	k->launch.plan = &k->plan;
	if (rootless_check(&k->plan, e) < 0)
		return -1;
	if (k->plan.has_late_readonly) {
		k->launch.late = arena_array(k->arena, k->plan.n_mounts, sizeof(int));
		for (size_t i = 0; i < k->plan.n_mounts; i++)
			k->launch.late[i] = -1;
	}
	k->launch.end.process = &k->plan.process;
	k->launch.end.keeps_groups = rootless_denies_groups(&k->plan);
	k->launch.end.seccomp = &k->seccomp;
	return 0;
}

static int check_rootfs(struct creation *k, struct err *e)
{
	const struct plan *p = &k->plan;
	struct stat st;

	if (stat(p->rootfs, &st) < 0)
		return err_sys(e, errno, "invalid rootfs: stat %s", p->rootfs);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid rootfs: %s is not a directory",
			       p->rootfs);
	if (p->all_ns & CLONE_NEWNS)
		return 0;
	if (rootfs_mount_id(p->rootfs, &k->host_mount, e) < 0)
		return -1;
	k->is_on_host = true;
	return 0;
}

static int compile_seccomp(struct creation *k, struct err *e)
{
	if (!k->c->spec->linux.seccomp)
		return 0;
	const char *cache = arena_printf(k->arena, "%s/.seccomp", k->rt->root);
	if (seccomp_compile(k->c->spec->linux.seccomp, cache, &k->seccomp, e) < 0)
		return -1;
	/* in runc's words and numbers, for which TSYNC is no flag of the filter */
	log_debug(LOG({ "id", k->c->id }), "seccomp filter flags: %u",
		  k->seccomp.flags & ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC);
	return 0;
}

/* What the plan cannot know: this kernel, and how we were called. */
static int check_more(struct creation *k, struct err *e)
{
	if (k->plan.all_ns & CLONE_NEWTIME &&
	    faccessat(k->launch.end.procfd, "self/timens_offsets", F_OK, 0) < 0)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "time namespaces aren't enabled in the kernel");
	if (lsm_check(&k->plan.process, k->plan.mount_label, e) < 0)
		return -1;
	if (k->plan.rdt) {
		k->resctrl = rdt_open(e);
		if (k->resctrl < 0)
			return -1;
	}
	if (k->plan.n_net_devices && (k->rt->rootless || geteuid() != 0))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "network devices are not supported for rootless containers");
	if (k->c->no_pivot && k->plan.root_propagation & MS_PRIVATE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "rootfsPropagation of [r]private is not safe without pivot_root");
	return 0;
}

static int open_joins(struct creation *k, struct err *e)
{
	for (size_t i = 0; i < k->plan.n_joins; i++) {
		const struct plan_join *j = &k->plan.joins[i];
		int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0)
			return err_sys(e, errno, "open %s namespace %s", oci_ns_names[j->type],
				       j->path);
		k->launch.join_fds[i] = fd;
		if (join_check(&k->plan, j, k->launch.end.procfd, fd, e) < 0)
			return -1;
		if (j->type == OCI_NS_PID) {
			k->pidns = fd;
			k->launch.in_two_steps |=
				!(k->plan.new_ns & CLONE_NEWUSER) && !birth_may_join_pid();
		}
		if (j->type == OCI_NS_USER && plan_clone_flags(&k->plan))
			k->launch.in_two_steps = true;
	}
	return 0;
}

static int note_place(void *data, const char *controller, const char *path, struct err *e)
{
	const struct creation *k = data;

	return state_add_place(k->state.dirfd, controller, path, e);
}

static int make_cgroup(struct creation *k, struct err *e)
{
	const struct oci_spec *s = k->c->spec;
	struct cgroup_config cfg = {
		.path = s->linux.cgroups_path,
		.id = k->c->id,
		.systemd = k->rt->systemd_cgroup,
		.rootless = k->rt->rootless,
		.devices_later = true, /* record_child() */
		.annotations = &s->annotations,
		.on_place = note_place,
		.data = k,
	};

	if (s->linux.resources)
		update_warn_kernel_memory(k->c->id, s->linux.resources);
	cfg.has_owner = delegate_owner(s, &cfg.owner);
	if (cgroup_create(&cfg, s->linux.resources, &k->cgroup, e) < 0)
		return err_wrap(e, "unable to apply cgroup configuration");
	cgroup_paths(k->cgroup, k->arena, &k->state.pub.cgroup_paths);
	(void)cgroup_unit(k->cgroup, &k->state.unit); /* borrowed: both live as long as k */
	k->launch.cgroup_paths = k->state.pub.cgroup_paths;
	k->launch.cgroup_layout = cgroup_layout_of(k->cgroup);
	return 0;
}

static int make_state(struct creation *k, bool is_run, struct err *e)
{
	struct state *s = &k->state;

	s->dirfd = state_make_dir(k->rt->root, k->c->id, e);
	if (s->dirfd < 0)
		return -1;
	k->has_dir = true;
	s->pub = (struct runtime_state){
		.id = k->c->id,
		.bundle = k->plan.bundle,
		.rootfs = k->plan.rootfs,
		.oci_version = k->c->spec->version,
		.status = RUNTIME_CREATING,
		.owner = geteuid(),
		.annotations = k->c->spec->annotations,
	};
	clock_gettime(CLOCK_REALTIME, &s->pub.created);
	s->ns = k->plan.all_ns;
	s->caps = k->plan.process.caps;
	s->no_new_keyring = k->c->no_new_keyring;
	s->resources = update_print(k->arena, k->c->spec->linux.resources);
	s->tune = k->plan.process.tune;
	s->apparmor = k->plan.process.apparmor;
	s->selinux = k->plan.process.selinux;
	s->poststart = k->c->spec->hooks.poststart;
	s->poststop = k->c->spec->hooks.poststop;
	if (k->seccomp.insns && state_save_seccomp(s->dirfd, &k->seccomp, e) < 0)
		return -1;
	if (k->c->on_dir && k->c->on_dir(s->dirfd, k->c->on_dir_arg, e) < 0)
		return -1;
	if (seccomp_has_listener(&k->seccomp)) {
		s->listener_path = k->c->spec->linux.seccomp->listener_path;
		s->listener_metadata = k->c->spec->linux.seccomp->listener_metadata;
		k->birth.listener = (struct birth_listener){ .path = s->listener_path,
							     .metadata = s->listener_metadata,
							     .state = &s->pub,
							     .is_init = true };
	}
	if (is_run)
		return 0;
	if (mkfifoat(s->dirfd, STATE_FIFO, 0600) < 0)
		return err_sys(e, errno, "make " STATE_FIFO);
	k->launch.end.fifo = openat(s->dirfd, STATE_FIFO, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (k->launch.end.fifo < 0)
		return err_sys(e, errno, "open " STATE_FIFO);
	return 0;
}

static char *state_text(struct creation *k, enum runtime_status status, pid_t pid)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);
	struct runtime_state s = k->state.pub;

	s.status = status;
	s.pid = pid;
	runtime_state_json(&s, &out);
	return arena_strdup(k->arena, str_c(&out));
}

/* The child waits for it, so it begins before there is a plan.  In a new user namespace only its
 * own root may make one: there clone3() does, and where we need the namespace ourselves. */
static int begin_netns(struct creation *k, struct err *e)
{
	const struct oci_linux *l = &k->c->spec->linux;
	bool is_new = false;

	if (l->n_net_devices)
		return 0;
	for (size_t i = 0; i < l->n_namespaces; i++) {
		if (l->namespaces[i].type == OCI_NS_USER)
			return 0;
		if (l->namespaces[i].type == OCI_NS_NETWORK)
			is_new = !l->namespaces[i].path;
	}
	if (!is_new)
		return 0;
	k->launch.net = &k->net;
	return netns_begin(&k->net, e);
}

static int prepare(struct creation *k, bool is_run, struct err *e)
{
	if (begin_netns(k, e) < 0 || make_plan(k, e) < 0 || check_rootfs(k, e) < 0)
		return -1;
	k->launch.end.procfd = procfs_open(e);
	if (k->launch.end.procfd < 0)
		return -1;
	if (birth_prepare_io(&k->plan.process, &k->c->io, &k->birth, &k->launch.end.host_ptmx, e) <
	    0)
		return -1;
	if (check_more(k, e) < 0 || open_joins(k, e) < 0 || compile_seccomp(k, e) < 0 ||
	    make_state(k, is_run, e) < 0 || make_cgroup(k, e) < 0 ||
	    trees_open(&k->launch, k->arena, e) < 0)
		return -1;
	k->launch.state = &k->state.pub;
	return 0;
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
	char path[64], value[16];

	if (!k->plan.process.has_oom_score_adj)
		return 0;
	snprintf(path, sizeof path, "%d/oom_score_adj", (int)k->birth.pid);
	snprintf(value, sizeof value, "%d", k->plan.process.oom_score_adj);
	if (procfs_write(k->launch.end.procfd, path, value, e) < 0)
		return err_wrap(e, "failed to set oom_score_adj");
	return 0;
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
	int r = procfs_start_time(procfd, k->birth.pid, &k->state.start_time, &state);
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
	/* Three lines of --debug are in runc's words: its tests, and those who ask for a log, look
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

/* Until the child has only execve to do. */
static int accompany(struct creation *k, struct err *e)
{
	const struct oci_hooks *h = &k->c->spec->hooks;
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
		if (step != STAGE_HOOKS)
			return err_set(e, ERR_INTERNAL, "unexpected start stage %d", step);
		const char *state = state_text(k, RUNTIME_CREATING, k->birth.pid);
		const char *dir = k->plan.bundle;
		if (hooks_run(&h->prestart, "prestart", state, dir, e) < 0 ||
		    hooks_run(&h->create_runtime, "createRuntime", state, dir, e) < 0 ||
		    stage_send(k->birth.sync, STAGE_RESUME, -1, e) < 0)
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
	       !k->birth.listener.path && k->c->io.console == RUNTIME_CONSOLE_NONE;
}

static int start_process(struct creation *k, bool is_run, struct err *e)
{
	bool ahead = is_run && may_start_ahead(k);

	if (give_birth(k, e) < 0 || set_up_child(k, e) < 0 || record_child(k, e) < 0 ||
	    (ahead && birth_permit(&k->birth, e) < 0) || accompany(k, e) < 0 ||
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
	if (prepare(&k, is_run, e) < 0)
		return -1;
	if (start_process(&k, is_run, e) < 0 && birth_explain(&k.birth, e) < 0)
		return err_wrap(e, "unable to start container process");
	if (is_run && hooks_run(&c->spec->hooks.poststart, "poststart",
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

int runtime_load_spec(struct arena *a, const char *bundle, struct oci_spec **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", bundle);
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, 16 << 20, &text, &len);

	if (r == -ENOENT && access(bundle, F_OK) < 0)
		return err_sys(e, errno, "chdir %s", bundle);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, "JSON specification file config.json not found");
	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	return oci_spec_parse(a, text, len, ret, e);
}
